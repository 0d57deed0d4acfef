"""Base scenarios: read, checked, and what of each can be varied. Nothing is drawn or written here."""
