"""What notebooks show: the preview of a draw, the replay of an episode, a training while it runs."""
