"""The player of an episode: one page that needs no server, no kernel and no network.

Keys play and move through the episode, and a text describes it.
"""

import base64
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.assist import FULL_BRAKING_MPS2
from roadsense.episodes.score import CRITICAL_TTC_S
from roadsense.episodes.trajectory import Trajectory
from roadsense.pictures.style import BLUE, GREY, RED, TTC_AXIS_S
from roadsense.scenarios.scenario import CONVOY_ID, EGO_ID

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


ABSENT = -32768
"""Value for a vehicle that is not on the road."""

_LARGEST = 32767
HEADING_RAD, SPEED_MPS = 1e-4, 0.01
"""Resolution of packed headings and speeds; that of positions depends on the road's size."""

FINEST_M = 0.01
LEAD_IN_S = 3.0
"""The player starts this long before the critical moment."""

GAP_AXIS_M, SPEED_AXIS_MPS = 60.0, 5.0


def pack_episode(trajectory: Trajectory) -> dict[str, Any]:
    """Returns all that the player draws of an episode, JSON-like."""
    critical = find_critical_row(trajectory)
    hazards = find_spans(trajectory.ego["hazard_active"])
    convoy = [index for index, name in enumerate(trajectory.vehicle_ids) if CONVOY_ID.fullmatch(name)]
    critical_s, step_s = float(trajectory.time_s[critical]), trajectory.step_length_s
    top_mps = 5.0 * np.ceil(max(float(np.nanmax(trajectory.speed_mps, initial=0.0)), 5.0) / 5.0)
    return {
        "n_rows": trajectory.n_rows,
        "step_s": step_s,
        "end_s": float(trajectory.time_s[-1]),
        "start_s": round(max(critical_s - LEAD_IN_S, 0.0), 3),
        "critical_s": critical_s,
        "top_mps": top_mps,
        "vehicles": [_describe_vehicle(trajectory, index) for index in range(len(trajectory.vehicle_ids))],
        "convoy": convoy,
        "ego": trajectory.vehicle_ids.index(EGO_ID),
        **_pack_states(trajectory),
        "messages": _pack_messages(trajectory),
        "senders": [index for index in convoy if (trajectory.message_sender == index).any()],
        "collision": _find_collision(trajectory),
        "hazard": [[round(first * step_s, 3), round(last * step_s, 3)] for first, last in hazards],
        "strips": list(_strips(trajectory, top_mps)),
        "lanes": [_flat(line) for line in trajectory.lanes],
        "lane_width_m": [round(float(width), 2) for width in trajectory.lane_width_m],
        "junctions": [_flat(line) for line in trajectory.junctions],
    }


def find_critical_row(trajectory: Trajectory) -> int:
    """Returns the most important row: the collision, else the smallest time to collision, else the smallest gap."""
    collision = np.flatnonzero(np.nan_to_num(trajectory.ego["collision"]) > 0)
    if len(collision):
        return int(collision[0])
    for name in ("ttc_s", "gap_m"):
        values = np.where(np.isfinite(trajectory.ego[name]), trajectory.ego[name], np.inf)
        if np.isfinite(values).any():
            return int(values.argmin())
    return 0


def find_spans(flags: NDArray[Any]) -> list[tuple[int, int]]:
    """Returns the first and the last row of each stretch in which a series is above zero."""
    on = np.concatenate([[0], np.nan_to_num(flags) > 0, [0]]).astype(int)
    return list(zip(np.flatnonzero(np.diff(on) == 1), np.flatnonzero(np.diff(on) == -1) - 1, strict=True))


def summarise_episode(trajectory: Trajectory) -> str:
    """Returns what happens in an episode in a few plain sentences, for people who can't see the picture."""
    ego, times = trajectory.ego, trajectory.time_s
    sentences = [trajectory.description.rstrip(".") + "."]
    for name, word, unit in (("gap_m", "gap", "m"), ("ttc_s", "time to collision", "s")):
        values = np.where(np.isfinite(ego[name]), ego[name], np.inf)
        if np.isfinite(values).any():
            row = int(values.argmin())
            least = max(values[row], 0.0)  # bodies that overlap have a gap below 0
            sentences.append(f"The smallest {word} is {least:.1f} {unit}, {times[row]:.1f} s after the start.")
    braking = np.flatnonzero(np.nan_to_num(ego["action"]) > 0.1)
    share = len(braking) / max(trajectory.n_rows - 1, 1)
    if len(braking):
        sentences.append(f"The assist asks for braking from {times[braking[0]]:.1f} s on, in {share:.0%} of the steps.")
    else:
        sentences.append("The assist never asks for braking.")
    if len(trajectory.message_heard_step):
        n, lost = len(trajectory.message_heard_step), int((trajectory.message_heard_step < 0).sum())
        sentences.append(f"{lost} of {n} radio messages are lost.")
    return " ".join(sentences)


def _find_collision(trajectory: Trajectory) -> dict[str, Any] | None:
    """Returns time, partner (its index; None if unknown) and direction of the ego's collision; None without one."""
    rows = np.flatnonzero(np.nan_to_num(trajectory.ego["collision"]) > 0)
    if not len(rows):
        return None
    outcome = trajectory.facts.get("outcome", {})
    partner = outcome.get("collision_partner", "")
    index = trajectory.vehicle_ids.index(partner) if partner in trajectory.vehicle_ids else None
    return {
        "time_s": round(float(trajectory.time_s[rows[0]]), 3),
        "partner": index,
        "was_struck": bool(outcome.get("was_struck", False)),
    }


def _describe_vehicle(trajectory: Trajectory, index: int) -> dict[str, Any]:
    name = trajectory.vehicle_ids[index]
    size = {"length_m": trajectory.vehicle_length_m[index], "width_m": trajectory.vehicle_width_m[index]}
    tag = {"tag": name.lstrip("V0")} if CONVOY_ID.fullmatch(name) else {}
    return {"name": name, **{key: round(float(value), 2) for key, value in size.items()}, **tag}


def _pack_states(trajectory: Trajectory) -> dict[str, Any]:
    xs, ys = trajectory.x_m, trajectory.y_m
    x0, y0 = (float((np.nanmin(values) + np.nanmax(values)) / 2) for values in (xs, ys))
    reach_m = max(float(np.nanmax(np.abs(xs - x0))), float(np.nanmax(np.abs(ys - y0))), 1.0)
    metre = max(FINEST_M, reach_m / _LARGEST)
    turned = np.arctan2(np.sin(trajectory.heading_rad), np.cos(trajectory.heading_rad))
    return {
        "x0": round(x0, 3),
        "y0": round(y0, 3),
        "metre": metre,
        "radian": HEADING_RAD,
        "mps": SPEED_MPS,
        "absent": ABSENT,
        "x": _pack((xs - x0) / metre),
        "y": _pack((ys - y0) / metre),
        "heading": _pack(turned / HEADING_RAD),
        "speed": _pack(trajectory.speed_mps / SPEED_MPS),
    }


def _pack(values: NDArray[Any]) -> str:
    whole = np.where(np.isfinite(values), np.clip(np.rint(values), -_LARGEST, _LARGEST), ABSENT)
    return base64.b64encode(whole.astype("<i2").tobytes()).decode("ascii")


def _pack_messages(trajectory: Trajectory) -> dict[str, list[int]]:
    order = np.argsort(trajectory.message_sent_step, kind="stable")
    return {
        "sender": trajectory.message_sender[order].tolist(),
        "sent": trajectory.message_sent_step[order].tolist(),
        "heard": trajectory.message_heard_step[order].tolist(),
    }


def _strips(trajectory: Trajectory, top_mps: float) -> Iterator[dict[str, Any]]:
    ego = trajectory.ego
    gap = {"label": "gap [m]", "word": "gap", "unit": " m", "digits": 1, "low": 0, "high": GAP_AXIS_M, "open": True}
    yield {**gap, "note": "hazard: shaded", "lines": [_line(ego["gap_m"], BLUE, 1)]}
    ttc = {"label": "TTC [s]", "word": "time to collision", "unit": " s", "digits": 1, "low": 0, "high": TTC_AXIS_S}
    note = {"note": f"critical: {CRITICAL_TTC_S:g}", "mark": CRITICAL_TTC_S, "open": True}
    yield {**ttc, **note, "lines": [_line(ego["ttc_s"], BLUE, 2)]}
    speed = {"label": "speed [m/s]", "word": "speed", "unit": " m/s", "digits": 1, "low": 0, "high": top_mps}
    leader = _line(ego["leader_speed_mps"], GREY, 1, dash=True)
    yield {**speed, "note": "leader: broken", "lines": [_line(ego["speed_mps"], BLUE, 1), leader]}
    action = {"label": "action [-]", "word": "action", "unit": "", "digits": 2, "low": 0, "high": 1}
    driver = _line(np.clip(-np.asarray(ego["driver_mps2"]) / FULL_BRAKING_MPS2, 0, 1), GREY, 2, dash=True)
    yield {**action, "note": "driver: broken", "lines": [_line(ego["action"], RED, 3), driver]}


def _line(values: Sequence[float] | NDArray[Any], colour: str, digits: int, dash: bool = False) -> Mapping[str, Any]:
    plain = [round(float(value), digits) if np.isfinite(value) else None for value in values]
    return {"values": plain, "colour": colour, "dash": dash}


def _flat(line: NDArray[Any]) -> list[float]:
    return np.round(np.asarray(line, float), 2).ravel().tolist()
