"""What a dataset says of itself: README, tables and pictures."""
