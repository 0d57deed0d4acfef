"""From draws to accepted scenarios: entries, files, the gate, resuming, and scenarios added by hand."""
