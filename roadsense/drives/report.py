"""Writes the report of a judged drive: one HTML file that needs no other, tables, figures, and trajectories to play."""

import base64
import io
import json
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from matplotlib.figure import Figure

from roadsense.drives import figures
from roadsense.drives.judgement import Judgement
from roadsense.drives.lanes import read_lanes
from roadsense.drives.steps import STEP_S
from roadsense.drives.trace import make_trajectory
from roadsense.drives.what_if import HORIZON_S
from roadsense.envs.observation import OBSERVATION_VERSION
from roadsense.episodes.trajectory import Trajectory
from roadsense.evaluation.policies import record_of
from roadsense.pictures.player import player_html, player_page
from roadsense.utils.files import write_atomically

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
