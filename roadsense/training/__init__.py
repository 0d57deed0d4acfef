"""What a training is made of: workers, learning, checkpoints, held-out judgement, the log."""
