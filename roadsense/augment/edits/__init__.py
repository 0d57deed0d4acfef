"""Draws written into the files of a scenario, one edit a function."""
