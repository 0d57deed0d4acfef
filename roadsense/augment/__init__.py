"""Augmentation: a few base scenarios in, a dataset out. The dataset itself is read and checked in `scenarios`."""
