"""Notebook widgets: the sliders of a draw, the live view of a training, the player of an episode.

Not here: the pictures themselves (`pictures`, `runs`, `augment`); nothing below imports this folder.
"""

from roadsense.utils.lazy import import_lazily

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
__getattr__, __dir__ = import_lazily(__name__, _HOMES)
