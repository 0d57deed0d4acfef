"""Shared pictures: chart style, road, vehicles, and one episode as a still picture or in the player.

Not here: charts of a dataset (`augment`), of a training (`runs`) and of an evaluation (`evaluation/figures.py`).
"""
