"""Policies: those that learn and those that need no training."""
