"""The run folder: what is in it, its state, how to stop it, its progress and its learning curves.

Everything here reads and writes files alone, so any process can follow a run. What trains is in `roadsense.training`.
"""
