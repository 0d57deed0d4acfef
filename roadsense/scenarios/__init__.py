"""Scenarios and datasets on disk: read, checked and hashed. They are made in `augment` and simulated in `envs`."""
