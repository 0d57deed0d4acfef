"""Evaluates a policy: plans, the table of episodes, figures and intervals, comparisons, verdicts, report.

`roadsense.evaluate` calls these in order. Not here: driving (`episodes`), pictures of one episode (`pictures`).
"""
