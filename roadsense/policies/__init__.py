"""Policies: observation in, action out.

Here are the hand-written rules and null policies, the trained network in plain NumPy, and the loaders of model.zip and
.tflite files. Not here: learning (`training`) and exporting (`exporting`).
"""
