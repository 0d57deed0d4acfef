"""Ranges, and random draws from them by stratified sampling, as numbers.

Not here: files and SUMO (`edits`, `validation`).
"""
