"""The card of a dataset: README, tables and figures, made from its manifest.

Not here: pictures of a draw before it is generated (`preview`).
"""
