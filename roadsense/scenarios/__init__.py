"""Scenarios and datasets on disk: reads, checks and hashes them.

Not here: making datasets (`augment`) and driving in scenarios (`envs`).
"""
