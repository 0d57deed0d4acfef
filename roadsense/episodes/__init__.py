"""Plans, drives, scores, records and replays single episodes.

Here: the plan of an episode, the loop that drives it (`drive`), the worker that turns plans into rows (`run`), the
score, trajectories (`record`, `trajectory`), the exact replay of a training's episode, the difficulty of a scenario.
Not here: policies (`policies`), figures over many episodes (`evaluation`), pictures (`pictures`).
"""
