"""Judging a policy: the table of episodes, what it adds up to, what can be said of it, and the report."""
