"""The quality of a log on one page: what was found, and what is there to judge."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.drives.drive import Drive, SensorLog
from roadsense.drives.findings import KINDS, Finding
from roadsense.drives.steps import find_spans
from roadsense.pictures.style import BLUE, BROWN, GREEN, GREY, INK, ORANGE, PURPLE, SKY, new_grid

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
