"""Shows the effect of a draw before a dataset is generated: as a picture at once, or simulated.

Not here: the sliders of the notebook (`roadsense.widgets`).
"""
