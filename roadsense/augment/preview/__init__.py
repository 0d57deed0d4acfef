"""What a draw would do, shown before a dataset is generated."""
