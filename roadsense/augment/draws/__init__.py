"""What is varied and over which ranges: draws of every level, as data."""
