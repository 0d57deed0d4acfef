"""Base scenarios: reads and checks them, and finds what can be varied in each.

Not here: random draws (`draws`) and writing files (`edits`, `validation`).
"""
