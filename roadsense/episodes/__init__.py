"""One episode at a time: planned, driven, scored, recorded as a trajectory, replayed.

Here are the plan of an episode, the loop that drives it (`drive`), the worker that turns plans into rows (`run`), the
score over rows, trajectories (`record`, `trajectory`), the exact replay of a training's episode, and the difficulty of
a scenario. Not here: who drives (`policies`), what many episodes mean (`evaluation`), pictures (`pictures`).
"""
