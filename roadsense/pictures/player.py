"""The player of an episode: one page that needs no server, no kernel and no network.

Keys play and move through the episode, and a text describes it.
"""

import html
import json
import re
from importlib import resources

from roadsense.episodes.trajectory import Trajectory
from roadsense.pictures.player_data import pack_episode, summarise_episode

FRAME_HEIGHT_PX = 640
"""Height of the frame until its page reports its own height."""

SCRIPTS = ("player_scene.js", "player_strips.js", "player.js")


def player_page(trajectory: Trajectory, plays: bool = False) -> str:
    """Returns the player of an episode as a whole HTML page: one file to open, send or keep.

    Args:
        trajectory: the episode.
        plays: whether it plays at once, if the browser's user has nothing against motion.
    """
    files = resources.files("roadsense.pictures")
    page = (files / "player.html").read_text(encoding="utf-8")
    # `</script>` within a string would end the script early.
    packed = pack_episode(trajectory) | {"plays": plays}
    data = json.dumps(packed, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    parts = {
        "__TITLE__": html.escape(f"Replay of {trajectory.scenario}"),
        "__SUMMARY__": html.escape(summarise_episode(trajectory)),
        "__SCRIPT__": "\n".join((files / name).read_text(encoding="utf-8") for name in SCRIPTS),
        "__DATA__": data,
    }
    # In one pass: a placeholder in a scenario's name stays text.
    return re.sub("|".join(parts), lambda mark: parts[mark[0]], page)


def player_html(trajectory: Trajectory, plays: bool = False) -> str:
    """Returns the player of an episode as a piece of HTML for any page; a page may hold several.

    It is a frame with all its content, so several on one page don't affect each other; see `player_page`.
    """
    page, title = html.escape(player_page(trajectory, plays)), html.escape(f"Replay of {trajectory.scenario}")
    style = f"width:100%;height:{FRAME_HEIGHT_PX}px;border:0"
    return f'<iframe class="roadsense-replay" title="{title}" style="{style}" srcdoc="{page}"></iframe>'
