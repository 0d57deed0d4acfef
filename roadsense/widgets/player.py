"""The replay of an episode: a page of its own that needs no server, no kernel and no network.

In a notebook it lives in a frame, so it goes on working in a saved notebook; where scripts are not allowed, a picture
of the critical moment stands in its place. Keys play and scrub, and the episode is told in words, too.
"""

import base64
import html
import io
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from roadsense.trajectory import Trajectory, load_trajectory
from roadsense.widgets.episode_plots import plot_episode
from roadsense.widgets.player_data import pack_episode, summarise_episode

FRAME_HEIGHT_PX = 640
"""Until the page in the frame has told its own."""

STILL_DPI = 90
SCRIPTS = ("player_scene.js", "player_strips.js", "player.js")


def player_page(trajectory: Trajectory) -> str:
    """Returns the player of an episode as a whole HTML page: one file to open, send or keep."""
    files = resources.files("roadsense.widgets")
    page = (files / "player.html").read_text(encoding="utf-8")
    # `</script>` within a string would end the script early.
    data = json.dumps(pack_episode(trajectory), allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    parts = {
        "__TITLE__": html.escape(f"Replay of {trajectory.scenario}"),
        "__SUMMARY__": html.escape(summarise_episode(trajectory)),
        "__SCRIPT__": "\n".join((files / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "__DATA__": data,
    }
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page


def player_html(trajectory: Trajectory) -> str:
    """Returns the player of an episode as a piece of HTML to put into any page, as often as wanted.

    It is a frame that holds everything in itself, so several on a page don't meet.
    """
    page, title = html.escape(player_page(trajectory)), html.escape(f"Replay of {trajectory.scenario}")
    style = f"width:100%;height:{FRAME_HEIGHT_PX}px;border:0"
    return f'<iframe class="roadsense-replay" title="{title}" style="{style}" srcdoc="{page}"></iframe>'


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
    """
    return EpisodePlayer(episode if isinstance(episode, Trajectory) else load_trajectory(episode))
