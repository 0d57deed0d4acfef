"""The code inside every job, on every target: plan, notebook kernel, signals, heartbeat and results."""
