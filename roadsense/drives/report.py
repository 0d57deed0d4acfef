"""Writes the report of a judged drive: one HTML file that needs no other, tables, figures, and trajectories to play."""

import base64
import io
import json
from collections.abc import Sequence
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from roadsense.drives import figures
from roadsense.drives.judgement import HORIZON_S, POLICY, Judgement
from roadsense.drives.lanes import Lanes, read_lanes
from roadsense.drives.motion import CarMotion, smooth
from roadsense.drives.steps import STEP_S, find_spans
from roadsense.envs import metrics
from roadsense.envs.convoy import CAR_LENGTH_M
from roadsense.envs.observation import OBSERVATION_VERSION
from roadsense.episodes.trajectory import EGO_SERIES, LOST, Trajectory
from roadsense.evaluation.policies import record_of
from roadsense.pictures.player import player_html, player_page
from roadsense.utils.files import write_atomically

Floats = NDArray[np.float64]
CAR_WIDTH_M, LANE_WIDTH_M = 1.8, 3.5
POINT_EVERY_M, SMOOTH_S = 3.0, 2.0


def make_trajectory(
    judgement: Judgement, first: int, last: int, lanes: Lanes | None = None, what: str = ""
) -> Trajectory:
    """Returns a part of a judged drive as a trajectory. The ego is V001, the cars ahead V002 and so on.

    Args:
        judgement: the judged drive.
        first: first step.
        last: last step.
        lanes: lanes of a map; None for the trace itself.
        what: what is to be seen, in a few words.
    """
    steps, cut = judgement.steps, slice(first, last + 1)
    known = np.where(steps.is_judged[:, None], steps.states, np.nan)[cut]
    own = CarMotion(True, known[:, 0], known[:, 1], known[:, 2], known[:, 3], known[:, 4], known[:, 0])
    cars = [own, *[_cut(motion, cut) for motion in judgement.cars.values()]]
    seen = [place for place, car in enumerate(cars) if place == 0 or np.isfinite(car.x_m).any()]
    names = {place: f"V{number:03d}" for number, place in enumerate(seen, start=1)}
    sender, sent, heard = _messages(judgement, first, last, seen)
    stack = {key: np.column_stack([getattr(cars[place], key) for place in seen]) for key in _KEYS}
    if lanes is None:
        lanes = _trace_lanes(stack["x_m"], stack["y_m"])
    own_names = [judgement.drive.ego, *judgement.drive.peers]
    others = [f"{name} is {own_names[place]}" for place, name in names.items() if name != own_names[place]]
    real = f" ({', '.join(others)})" if others else ""
    return Trajectory(
        scenario=judgement.drive.name,
        description=f"{judgement.drive.name}, {steps.time_s[first]:.0f} to {steps.time_s[last]:.0f} s: {what}{real}",
        facts={"policy": judgement.policy_name, "open_loop": True},
        step_length_s=STEP_S,
        vehicle_ids=tuple(names.values()),
        vehicle_types=("car",) * len(seen),
        vehicle_length_m=np.full(len(seen), CAR_LENGTH_M, np.float32),
        vehicle_width_m=np.full(len(seen), CAR_WIDTH_M, np.float32),
        **{key: value.astype(np.float32) for key, value in stack.items()},
        ego=_series(judgement, cut),
        message_sender=sender,
        message_sent_step=sent,
        message_heard_step=heard,
        lanes=lanes.middles,
        lane_width_m=lanes.widths_m,
        junctions=lanes.junctions,
    )


_KEYS = ("x_m", "y_m", "heading_rad", "speed_mps")


def _cut(motion: CarMotion, cut: slice) -> CarMotion:
    values = {name: value[cut] for name, value in vars(motion).items() if name != "is_own"}
    return CarMotion(motion.is_own, **values)


def _series(judgement: Judgement, cut: slice) -> dict[str, NDArray[np.float32]]:
    steps = judgement.steps
    n = len(steps.time_s[cut])
    series = {name: np.full(n, np.nan) for name in EGO_SERIES}
    speed, acceleration = steps.states[cut, 2], steps.states[cut, 3]
    series |= {"speed_mps": speed, "acceleration_mps2": acceleration, "driver_mps2": steps.driver_mps2[cut]}
    series |= {"action": judgement.actions[POLICY][cut], "assist_mps2": judgement.answers.assist_mps2[POLICY][cut]}
    series["required_mps2"] = judgement.needed_mps2[cut]
    series["collision"] = series["sumo_interventions"] = np.zeros(n)
    active = np.zeros(len(steps))
    for braking in judgement.brakings:
        active[braking.first : braking.last + 1] = 1
    series["hazard_active"] = active[cut]
    if judgement.drive.n_ahead:
        leader = _cut(next(iter(judgement.cars.values())), cut)
        gap_m = np.where(leader.gap_m > 0, leader.gap_m, np.nan)
        series |= {"gap_m": gap_m, "leader_speed_mps": leader.speed_mps}
        series["ttc_s"] = np.where(
            np.isfinite(gap_m), metrics.time_to_collision_s(gap_m, speed, leader.speed_mps), np.nan
        )
        series["drac_mps2"] = metrics.drac_mps2(gap_m, speed, leader.speed_mps)
        series["time_headway_s"] = np.where(np.isfinite(gap_m), metrics.time_headway_s(gap_m, speed), np.nan)
    return {name: np.asarray(values, np.float32) for name, values in series.items()}


def _messages(judgement: Judgement, first: int, last: int, seen: Sequence[int]) -> tuple[NDArray[np.int32], ...]:
    """Returns sender, sending and hearing step of each message of the part, the lost ones too where they are known."""
    drive, start_s = judgement.drive, float(judgement.steps.time_s[first])
    end_s = float(judgement.steps.time_s[last])
    found: list[NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
    for number, place in enumerate(seen[1:], start=1):
        messages = drive.heard.of(place - 1)
        within = (messages.sent_s >= start_s) & (messages.sent_s <= end_s)
        sent = np.rint((messages.sent_s[within] - start_s) / STEP_S).astype(int)
        heard = np.maximum(np.ceil((messages.heard_s[within] - start_s) / STEP_S - 0.05).astype(int), sent)
        found.append(np.column_stack([np.full(len(sent), number), sent, heard]))
        log = drive.sensors.get(drive.peers[place - 1])
        if log is not None:
            lost = (log.time_s >= start_s) & (log.time_s <= end_s) & ~np.isin(log.key, messages.key)
            sent = np.rint((log.time_s[lost] - start_s) / STEP_S).astype(int)
            found.append(np.column_stack([np.full(len(sent), number), sent, np.full(len(sent), LOST)]))
    table = np.concatenate(found).astype(np.int32)
    table = table[np.argsort(table[:, 1], kind="stable")]
    return table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy()


def _trace_lanes(x_m: Floats, y_m: Floats) -> Lanes:
    """Returns the traces of the cars as lanes, without the receivers' noise: a road has no kinks."""
    lines = []
    for place in range(x_m.shape[1]):
        for first, last in find_spans(np.isfinite(x_m[:, place])):
            cut = slice(first, last + 1)
            points = np.column_stack([smooth(values[cut, place], SMOOTH_S) for values in (x_m, y_m)])
            way = np.r_[0.0, np.cumsum(np.hypot(*np.diff(points, axis=0).T))]
            kept = points[np.flatnonzero(np.diff(np.floor(way / POINT_EVERY_M), prepend=-1))]
            if len(kept) > 1:
                lines.append(kept.astype(np.float32))
    return Lanes(tuple(lines), np.full(len(lines), LANE_WIDTH_M, np.float32))


N_PLAYERS = 4
AROUND_S = 10.0
"""A part to play begins this long before what it shows, and ends twice as long after it."""
WHOLE_S = 1200.0
"""A longer drive gets no page that plays it whole: a browser would have to load tens of megabytes."""


def write_report(judgement: Judgement, folder: Path, osm: Path | None = None) -> Path:
    """Writes `report.html`, tables as CSV, figures as PNG, and parts of the drive to play; returns the report's path.

    Args:
        judgement: the judged drive.
        folder: folder of the report; it is made if it is missing.
        osm: OpenStreetMap extract whose lanes are drawn; None: the cars' traces.
    """
    lanes = read_lanes(osm, judgement.drive.plane) if osm else None
    folder.mkdir(parents=True, exist_ok=True)
    parts = {name: make_trajectory(judgement, *span, lanes, what) for name, span, what in choose_parts(judgement)}
    for name, trajectory in parts.items():
        trajectory.save(folder / f"{name}.npz")
    if judgement.drive.duration_s <= WHOLE_S:
        whole = make_trajectory(judgement, 0, len(judgement.steps) - 1, lanes, "the whole drive")
        write_atomically(folder / "player.html", player_page(whole))
    pictures = {name: _png(figure) for name, figure in draw_figures(judgement).items()}
    for name, picture in pictures.items():
        write_atomically(folder / f"{name}.png", picture)
    tables = {"needless": judgement.needless, "onsets": judgement.onsets, "brakings": judgement.events,
              "what_if": judgement.what_ifs, "quality": figures.tabulate_findings(judgement.drive)}  # fmt: skip
    for name, table in tables.items():
        write_atomically(folder / f"{name}.csv", table.to_csv(index=False))
    facts = {"policy": judgement.policy_name, "open_loop": True, "sentences": judgement.sentences()}
    write_atomically(folder / "summary.json", json.dumps(facts, indent=1) + "\n")
    write_atomically(folder / "report.html", _render(judgement, pictures, parts))
    return folder / "report.html"


def draw_figures(judgement: Judgement) -> dict[str, Figure]:
    """Returns every figure that has data, by name."""
    found = {
        "drive": figures.plot_drive(judgement),
        "map": figures.plot_map(judgement),
        "needless": figures.plot_needless(judgement.needless),
        "quality": figures.plot_quality(judgement.drive),
    }
    if len(judgement.events):
        found["answers"] = figures.plot_answers(judgement.events)
    return found


def choose_parts(judgement: Judgement) -> list[tuple[str, tuple[int, int], str]]:
    """Returns name, first and last step, and subject of the parts worth playing: hard brakings, then needless ones.

    Of brakings within `AROUND_S` of each other, as along a convoy, one is played.
    """
    wanted = [(one.first, f"{one.car} brakes with {one.peak_mps2:.1f} m/s2") for one in judgement.brakings]
    wanted = sorted(wanted, key=lambda one: -judgement.answers.assist_mps2["policy"][one[0] : one[0] + 50].max())
    needless = [(int(step), "braking for nothing") for step in judgement.onsets["step"].head(N_PLAYERS)]
    around, last = round(AROUND_S / STEP_S), len(judgement.steps) - 1
    wanted = [
        one for place, one in enumerate(wanted) if all(abs(one[0] - other[0]) > around for other in wanted[:place])
    ]
    chosen = [*wanted[: N_PLAYERS - min(len(needless), N_PLAYERS // 2)], *needless][:N_PLAYERS] or [
        (0, "the beginning")
    ]
    return [
        (f"part_{number}", (max(step - around, 0), min(step + 2 * around, last)), what)
        for number, (step, what) in enumerate(chosen, start=1)
    ]


def _render(judgement: Judgement, pictures: dict[str, bytes], parts: dict[str, Trajectory]) -> str:
    loader = jinja2.PackageLoader("roadsense.drives", ".")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=loader)
    drive = judgement.drive
    encoded = {name: base64.b64encode(picture).decode() for name, picture in pictures.items()}
    judged_s = judgement.steps.is_judged.sum() * STEP_S
    return environment.get_template("report.html.j2").render(
        css=(resources.files("roadsense.evaluation") / "simple.min.css").read_text(),
        title=f"{drive.name}: what would {Path(judgement.policy_name).name} have done?",
        subtitle=f"{drive.duration_s:.0f} s, of which {judged_s:.0f} s can be judged; ego {drive.ego}, ahead "
        f"{', '.join(drive.peers[: drive.n_ahead]) or 'nobody'}",
        sentences=judgement.sentences(),
        figures={"answers": None, **encoded},
        needless=_table(
            judgement.needless.assign(policy=[record_of(name).label for name in judgement.needless["policy"]])
        ),
        onsets=_table(judgement.onsets.drop(columns=["step", "x_m", "y_m"]).head(20)),
        events=_table(
            judgement.events[[name for name in judgement.events if name in figures.HEADINGS or name == "heard"]]
        ),
        what_ifs=_table(judgement.what_ifs),
        horizon=f"{HORIZON_S:g}",
        players=[{"title": one.description, "player": player_html(one)} for one in parts.values()],
        cars=_table(figures.tabulate_cars(drive)),
        findings=_table(figures.tabulate_findings(drive)),
        mapping=drive.mapping,
        policy=judgement.policy_name,
        version=version("roadsense"),
        observation_version=OBSERVATION_VERSION,
        plane=drive.plane.definition,
    )


def _table(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    lines = [[_cell(str(name), value) for name, value in row.items()] for row in table.to_dict("records")]
    return [figures.HEADINGS.get(str(name), str(name)) for name in table.columns], lines


def _cell(name: str, value: Any) -> str:
    if isinstance(value, float):
        if name.endswith("_share"):
            return f"{value:.2%}"
        return "-" if pd.isna(value) else f"{value:.{5 if name.endswith('_deg') else 1}f}"
    return str(value)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
