"""Augmentation: makes a dataset of varied scenarios from a few base scenarios.

Here: reading bases, random draws, writing them into files, the gate, the preview and the dataset's card.
Not here: reading and checking a finished dataset (`scenarios`).
"""
