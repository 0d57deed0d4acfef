"""What a draw would do, shown before a dataset is generated: at once as a picture, or simulated."""
