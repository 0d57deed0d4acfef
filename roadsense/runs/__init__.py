"""The run folder: what is in it, its state, how to stop it, its progress and its learning curves.

Everything here only reads and writes files, so any process can follow a run. Not here: training (`training`).
"""
