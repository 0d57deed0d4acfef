"""The run folder: its files, state, stopping, progress and curves."""
