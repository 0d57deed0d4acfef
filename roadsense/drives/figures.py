"""Figures of a judged drive: tables in, matplotlib figures out."""

from collections.abc import Hashable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from pandas.io.formats.style import Styler

from roadsense.drives.answers import PERSON
from roadsense.drives.drive import Drive, SensorLog
from roadsense.drives.findings import KINDS, Finding
from roadsense.drives.judgement import POLICY, Judgement
from roadsense.drives.steps import find_spans
from roadsense.envs.outcome import REACTION_LIMIT_S
from roadsense.evaluation.policies import RULES, record_of
from roadsense.pictures.style import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    expect_columns,
    format_share,
    new_figure,
    new_grid,
)
from roadsense.pictures.tables import left_aligned

__all__ = [
    "plot_answers",
    "plot_differences",
    "plot_drive",
    "plot_map",
    "plot_needless",
    "plot_quality",
    "show_cars",
    "show_findings",
    "show_what_ifs",
    "tabulate_cars",
    "tabulate_findings",
]

HEADINGS = {
    "onset_s": "onset [s]", "car": "car", "lasts_s": "lasts [s]", "gap_m": "smallest gap [m]",
    "gap_with_m": "with the policy [m]", "required_mps2": "braking needed [m/s2]",
    "required_with_mps2": "with the policy [m/s2]", "slowed_mps": "slower by [m/s]",
    "calm_min": "calm time [min]", "braking_share": "share braked", "onsets_per_h": "brakings an hour",
    "onsets": "brakings", "slowed_mps_per_min": "speed taken off [m/s a minute]",
    "time_s": "at [s]", "hardest_mps2": "hardest [m/s2]", "speed_mps": "speed [m/s]",
    "latitude_deg": "latitude", "longitude_deg": "longitude",
    "peak_mps2": "hardest [m/s2]", "final_mps": "slowest then [m/s]", "away_m": "away [m]", "sent": "messages sent",
    "first_heard_s": "first heard after [s]", "person_s": "person answers after [s]",
    "policy_s": "policy answers after [s]",
}  # fmt: skip
"""Heading of each column of the tables for people."""


def show_findings(drive: Drive) -> Styler:
    """Returns the findings about a log as a table to show."""
    return _show(tabulate_findings(drive), ["what", "where", "done"])


def show_cars(drive: Drive) -> Styler:
    """Returns what is there of each car as a table to show."""
    return _show(tabulate_cars(drive), ["car", "place"])


def show_what_ifs(judgement: Judgement) -> Styler:
    """Returns what would have come of each hard braking as a table to show."""
    return _show(judgement.what_ifs.rename(columns=HEADINGS), ["car"]).format(precision=1)


def _show(table: pd.DataFrame, words: list[Hashable]) -> Styler:
    return left_aligned(table, words)


def plot_drive(judgement: Judgement) -> Figure:
    """Draws the drive over time: speeds, the leader's gap, and the policy's braking beside the person's."""
    steps, figure_and_panels = judgement.steps, new_grid(3, width=10.0, height=1.9, n_columns=1)
    figure, (speed, gap, braking) = figure_and_panels
    times = steps.time_s
    speed.plot(times, np.where(steps.is_judged, steps.states[:, 2], np.nan), color=BLUE, linewidth=1, label="ego")
    if judgement.drive.n_ahead:
        leader = next(iter(judgement.cars.values()))
        speed.plot(times, leader.speed_mps, color=GREY, linewidth=1, linestyle="--", label="leader")
        gap.plot(times, np.where(leader.gap_m > 0, leader.gap_m, np.nan), color=BLUE, linewidth=1)
    person = np.maximum(-steps.states[:, 3], 0.0)
    braking.fill_between(times, 0, np.where(steps.is_judged, person, np.nan), color=GREY, alpha=0.5, label=PERSON, lw=0)
    braking.plot(times, judgement.answers.assist_mps2[POLICY], color=RED, linewidth=1, label=POLICY)
    for axes in (speed, gap, braking):
        for one in judgement.brakings:
            axes.axvspan(times[one.first], times[one.last], color=RED, alpha=0.12, linewidth=0)
        axes.set_xlim(float(times[0]), max(float(times[-1]), 1.0))
    speed.set(ylabel="speed [m/s]", ylim=(0, None))
    gap.set(ylabel="gap [m]", ylim=(0, None))
    braking.set(ylabel="braking [m/s2]", ylim=(0, None), xlabel="time [s]; shaded: a car ahead brakes hard")
    for axes in (speed, braking):
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    return figure


def plot_map(judgement: Judgement) -> Figure:
    """Draws where the policy would have braked for nothing, and where cars ahead braked hard."""
    figure, axes = new_figure(7.2, 4.2)
    x_m, y_m = np.where(judgement.steps.is_judged[:, None], judgement.steps.states[:, :2], np.nan).T
    axes.plot(x_m, y_m, color=GREY, linewidth=2.5, solid_capstyle="round", label="the drive")
    real = [one.first for one in judgement.brakings]
    axes.plot(x_m[real], y_m[real], "s", color=BLUE, markersize=7, label="a car ahead brakes hard")
    onsets = judgement.onsets
    axes.plot(onsets["x_m"], onsets["y_m"], "o", color=RED, markersize=7, label="braking for nothing")
    axes.set(xlabel="east [m]", ylabel="north [m]")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False, fontsize=8.5)
    return figure


def plot_needless(needless: pd.DataFrame) -> Figure:
    """Draws how much each policy would have braked in calm time.

    Args:
        needless: table of `Judgement.needless`.
    """
    expect_columns(needless, ["policy", "braking_share", "onsets_per_h", "slowed_mps_per_min"])
    figure, panels = new_grid(3, width=3.6, height=0.9 + 0.36 * len(needless), n_columns=3)
    labels = {"braking_share": "calm time braked", "onsets_per_h": "onsets an hour",
              "slowed_mps_per_min": "speed taken off [m/s a minute]"}  # fmt: skip
    for axes, (column, label) in zip(panels, labels.items(), strict=True):
        names = [record_of(name).label for name in needless["policy"]]
        axes.barh(names, needless[column].fillna(0), color=[record_of(name).colour for name in needless["policy"]])
        axes.set(xlabel=label, xlim=(0, max(1.15 * float(needless[column].fillna(0).max()), 1e-3)))
        axes.invert_yaxis()
        axes.tick_params(labelleft=axes is panels[0])
    panels[0].xaxis.set_major_formatter(format_share)
    panels[0].xaxis.set_major_locator(MaxNLocator(4))
    return figure


def plot_answers(events: pd.DataFrame) -> Figure:
    """Draws when person, policy and rules answered each hard braking; at the right end: not within 5 s.

    Args:
        events: table of `Judgement.events`.
    """
    expect_columns(events, ["onset_s", "car", "person_s", "policy_s"])
    figure, axes = new_figure(8.0, 1.4 + 0.4 * len(events))
    names = [name for name in _ANSWERERS if f"{name}_s" in events]
    for number, name in enumerate(names):
        colour = INK if name == PERSON else record_of(name).colour
        label = PERSON if name == PERSON else record_of(name).label
        places = np.arange(len(events)) + 0.12 * (number - (len(names) - 1) / 2)
        answered = events[f"{name}_s"].fillna(REACTION_LIMIT_S + 0.3)
        mark = {PERSON: "D", POLICY: "o"}.get(name, "|")
        axes.plot(answered, places, mark, color=colour, label=label, markersize=8, markeredgewidth=2)
    axes.axvline(REACTION_LIMIT_S, color=GREY, linewidth=0.8, linestyle="--")
    texts = [f"{row.car} at {row.onset_s:.0f} s, {row.peak_mps2:.1f} m/s2" for row in events.itertuples()]
    axes.set_yticks(range(len(events)), texts)
    axes.set(
        xlabel="time from the onset to 1 m/s2 [s]; right of the line: no answer", xlim=(-0.2, REACTION_LIMIT_S + 0.6)
    )
    axes.set_ylim(len(events) - 0.5, -0.5)
    axes.legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


_ANSWERERS = (PERSON, POLICY, *RULES)


def plot_differences(comparison: pd.DataFrame) -> Figure:
    """Draws the range of each quantity in the drive beside that in the training, the worst first.

    Args:
        comparison: table of `roadsense.drives.compare.compare_samples`.
    """
    expect_columns(comparison, ["quantity", "unit", "drive_low", "drive_median", "drive_high", "training_low"])
    comparison = comparison[comparison["drive_median"].notna()]
    figure, panels = new_grid(len(comparison), width=3.3, height=1.35, n_columns=3)
    for axes, row in zip(panels, comparison.to_dict("records"), strict=True):
        for place, (side, colour) in enumerate((("drive", RED), ("training", BLUE))):
            low, middle, high = (row[f"{side}_{part}"] for part in ("low", "median", "high"))
            axes.plot([low, high], [place, place], color=colour, linewidth=5, solid_capstyle="butt")
            axes.plot(middle, place, "o", color="white", markeredgecolor=colour, markersize=6)
        axes.set_yticks([0, 1], ["drive", "training"])
        axes.set(ylim=(1.6, -0.6))
        outside = "" if np.isnan(row["outside"]) else f", {row['outside']:.0%} outside"
        unit = f" [{row['unit']}]" if row["unit"] else ""
        axes.set_title(f"{row['quantity']}{unit}{outside}", fontsize=7.5, color=INK)
    return figure


CAR_COLOURS = (BLUE, GREEN, PURPLE, SKY, BROWN, GREY)
BREAK_S = 0.5


def tabulate_findings(drive: Drive) -> pd.DataFrame:
    """Returns a row for each finding: what, where, how much, and what was done; one row for what is alike in files."""
    alike: dict[object, list[Finding]] = {}
    for one in drive.findings:
        alike.setdefault(one if one.line else (one.kind, one.done, one.seconds), []).append(one)
    rows = [
        {
            "what": KINDS[first.kind],
            "where": ", ".join(one.file for one in (first, *others)),
            "count": sum(one.count for one in (first, *others)),
            "first line": first.line or "",
            "seconds": f"{first.seconds:.1f}" if first.seconds else "",
            "done": first.done,
        }
        for first, *others in alike.values()
    ]
    return pd.DataFrame(rows, columns=["what", "where", "count", "first line", "seconds", "done"])


def tabulate_cars(drive: Drive) -> pd.DataFrame:
    """Returns a row for each car: its own rows, their share with a position, the messages heard of it, its clock."""
    rows = []
    for car in (drive.ego, *drive.peers):
        log, clock = drive.sensors.get(car), drive.clocks.get(car)
        heard = drive.heard.of(drive.peers.index(car)) if car in drive.peers else None
        delivered = ""
        if log is not None and heard is not None and len(log.key):
            delivered = f"{np.isin(log.key, heard.key).mean():.1%}"
        rows.append(
            {
                "car": car,
                "place": _place(drive, car),
                "own rows": len(log.time_s) if log is not None else 0,
                "with a position": f"{np.isfinite(log.x_m).mean():.1%}" if log is not None else "",
                "heard": len(heard.key) if heard is not None else "",
                "heard of sent": delivered,
                "clock [s]": f"{clock.offset_s:+.3f}" if clock else "",
                "drift [ppm]": f"{clock.drift_ppm:+.1f}" if clock else "",
            }
        )
    return pd.DataFrame(rows)


def plot_quality(drive: Drive) -> Figure:
    """Draws when each car logged and was heard, where it drove, how late messages came, and the speeds."""
    figure, (times, way, late, speeds) = new_grid(4, width=5.2, height=2.9, n_columns=2)
    cars = [drive.ego, *drive.peers]
    colours = {car: CAR_COLOURS[place % len(CAR_COLOURS)] for place, car in enumerate(cars)}
    _draw_times(times, drive, cars, colours)
    for car in cars:
        log = drive.sensors.get(car)
        if log is not None:
            slept = np.r_[False, np.diff(log.time_s) > BREAK_S]
            way.plot(np.where(slept, np.nan, log.x_m), log.y_m, color=colours[car], linewidth=1, label=car)
            speeds.plot(log.time_s, log.speed_mps, color=colours[car], linewidth=0.9, label=car)
    way.set(xlabel="east [m]", ylabel="north [m]", title="where")
    way.set_aspect("equal", adjustable="datalim")
    speeds.set(xlabel="time [s]", ylabel="speed [m/s]", title="speed")
    for place, car in enumerate(drive.peers):
        messages = drive.heard.of(place)
        delay_ms = 1000 * (messages.heard_s - messages.sent_s)
        late.plot(messages.sent_s, delay_ms, ".", markersize=2, color=colours[car], label=car)
    late.set(xlabel="time [s]", ylabel="hearing after sending [ms]", title="latency above the shortest one")
    for axes in (times, way, late, speeds):
        axes.title.set(fontsize=10, color=INK)
    speeds.legend(frameon=False, fontsize=8, ncols=3)
    return figure


def _place(drive: Drive, car: str) -> str:
    if car == drive.ego:
        return "ego"
    return "ahead" if drive.peers.index(car) < drive.n_ahead else "behind"


def _draw_times(axes: Axes, drive: Drive, cars: list[str], colours: dict[str, str]) -> None:
    labels: list[str] = []
    for car in cars:
        log = drive.sensors.get(car)
        if log is not None:
            _draw_bar(axes, log, len(labels), colours[car])
            labels.append(f"{car} sensed")
        if car in drive.peers:
            messages = drive.heard.of(drive.peers.index(car))
            axes.plot(
                messages.heard_s, np.full(len(messages.heard_s), len(labels)), "|", color=colours[car], markersize=5
            )
            labels.append(f"{car} heard")
    axes.set(xlabel="time [s]; orange: stuck, black: no position", title="when", ylim=(len(labels) - 0.5, -0.5))
    axes.set_yticks(range(len(labels)), labels, fontsize=7.5)


def _draw_bar(axes: Axes, log: SensorLog, place: int, colour: str) -> None:
    breaks = np.flatnonzero(np.diff(log.time_s) > BREAK_S)
    starts, ends = np.r_[0, breaks + 1], np.r_[breaks, len(log.time_s) - 1]
    for first, last in zip(starts.tolist(), ends.tolist(), strict=True):
        axes.plot(log.time_s[[first, last]], [place, place], color=colour, linewidth=5, solid_capstyle="butt")
    for mask, mark in ((log.is_stuck, ORANGE), (~np.isfinite(log.x_m), INK)):
        for first, last in find_spans(mask):
            axes.plot(log.time_s[[first, last]], [place, place], color=mark, linewidth=5, solid_capstyle="butt")
