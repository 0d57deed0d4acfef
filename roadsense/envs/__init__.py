"""The convoy environment."""
