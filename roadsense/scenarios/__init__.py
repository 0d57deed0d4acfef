"""Scenarios and datasets on disk: read, checked and hashed. Nothing is simulated here."""
