"""The player of an episode in a notebook.

It is in a frame, so it still works in a saved notebook; where scripts are not allowed, a picture of the critical
moment replaces it.
"""

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.episodes.trajectory import Trajectory, load_trajectory
from roadsense.pictures.episode import plot_episode
from roadsense.pictures.player import player_html, summarise_episode
from roadsense.utils.progress import working

STILL_DPI = 90


@dataclass(frozen=True)
class EpisodePlayer:
    """An episode that a notebook shows in the player, as the last value of a cell.

    Attributes:
        trajectory: the episode.
    """

    trajectory: Trajectory

    def _repr_mimebundle_(self, **_options: Any) -> dict[str, Any]:
        still = io.BytesIO()
        with working("drawing the episode"):
            plot_episode(self.trajectory).savefig(still, format="png", dpi=STILL_DPI)
        return {
            "text/plain": summarise_episode(self.trajectory),
            "text/html": player_html(self.trajectory),
            "image/png": base64.b64encode(still.getvalue()).decode("ascii"),
        }


def show_episode(episode: Trajectory | str | Path) -> EpisodePlayer:
    """Returns the player of an episode for a notebook.

    Args:
        episode: trajectory of the episode, or the path of a saved one.

    Raises:
        InputError: if the path holds no trajectory.

    Examples:
        >>> import roadsense as rs
        >>> episode = rs.record_episode(rs.open_run("runs/first"), "scenarios/small/train", seed=1)
        >>> rs.show_episode(episode).trajectory.n_rows > 100
        True
    """
    return EpisodePlayer(episode if isinstance(episode, Trajectory) else load_trajectory(episode))
