"""Notebook widgets: the sliders of a draw, the live view of a training, the player of an episode.

Not here: the pictures themselves (`pictures`, `runs`, `augment`); nothing below imports this folder.
"""

from typing import Any

from roadsense.utils.lazy import import_lazily, say_in_cell

_HOMES = {
    "EpisodePlayer": "roadsense.widgets.player",
    "LivePicture": "roadsense.widgets.live_picture",
    "PreviewWidget": "roadsense.widgets.preview",
    "TrainingView": "roadsense.widgets.training_view",
    "follow_theme": "roadsense.widgets.theme",
    "link_to": "roadsense.widgets.links",
    "show_episode": "roadsense.widgets.player",
    "watch_training": "roadsense.widgets.training_view",
}
__all__ = sorted(_HOMES)
_get, __dir__ = import_lazily(__name__, _HOMES)
_loaded = say_in_cell("loading figures")  # notebooks import theirs after this package, which takes seconds


def __getattr__(name: str) -> Any:
    _loaded()
    return _get(name)
