"""Pictures that several steps share: chart style, road, vehicles, one episode as a still and in the player.

Not here: charts of a dataset (`augment`), of a training (`runs`) and of an evaluation (`evaluation/figures.py`).
"""
