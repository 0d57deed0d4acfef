"""What runs in every job, on every target: the plan, the notebook's kernel, signals, the heartbeat and the results."""
