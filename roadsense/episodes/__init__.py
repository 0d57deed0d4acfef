"""Episodes of the environment: planned, run, recorded, replayed."""
