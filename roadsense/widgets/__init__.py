"""What only Jupyter can show: sliders of a draw, the live view of a training, the player of an episode.

Not here: the pictures themselves (`pictures`, `runs`, `augment`); nothing below imports this folder.
"""
