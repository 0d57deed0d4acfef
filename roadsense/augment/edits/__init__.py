"""Writes the values of a draw into the elements of a scenario's files, one function for each kind of edit.

Not here: random draws (`draws`) and whole scenario folders (`validation`).
"""
