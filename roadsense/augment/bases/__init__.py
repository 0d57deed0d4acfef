"""Base scenarios: read, checked, and what each allows to vary."""
