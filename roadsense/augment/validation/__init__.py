"""From draws to accepted scenarios: entries, scenario folders, the gate, resuming, and scenarios added by hand.

Not here: random draws (`draws`) and single edits (`edits`).
"""
