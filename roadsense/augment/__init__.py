"""What makes a dataset of a few base scenarios: reading, drawing, writing, filling, telling."""
