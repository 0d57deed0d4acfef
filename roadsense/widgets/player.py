"""The player of an episode in a notebook.

It lives in a frame, so it goes on working in a saved notebook; where scripts are not allowed, a picture of the critical
moment stands in its place.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.episodes.trajectory import Trajectory, load_trajectory
from roadsense.pictures.episode import plot_episode
from roadsense.pictures.player import player_html
from roadsense.pictures.player_data import summarise_episode

STILL_DPI = 90


@dataclass(frozen=True)
class EpisodePlayer:
    """An episode that a notebook shows as its player; the last value of a cell is enough.

    Attributes:
        trajectory: the episode.
    """

    trajectory: Trajectory

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        still = io.BytesIO()
        plot_episode(self.trajectory).savefig(still, format="png", dpi=STILL_DPI)
        return {
            "text/plain": summarise_episode(self.trajectory),
            "text/html": player_html(self.trajectory),
            "image/png": base64.b64encode(still.getvalue()).decode("ascii"),
        }


def show_episode(episode: Trajectory | str | Path) -> EpisodePlayer:
    """Returns what a notebook shows as the replay of an episode.

    Args:
        episode: one, or the path of one that was saved.

    Raises:
        InputError: if there is none at the path.

    Example:
        >>> import roadsense as rs
        >>> episode = rs.record_episode(rs.open_run("runs/first"), "scenarios/small/train", seed=1)
        >>> rs.show_episode(episode).trajectory.n_rows > 100
        True
    """
    return EpisodePlayer(episode if isinstance(episode, Trajectory) else load_trajectory(episode))
