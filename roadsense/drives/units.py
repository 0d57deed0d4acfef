"""Checks whether a log's units can be right: rows a second, speeds and headings against positions, gravity."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.findings import Findings
from roadsense.drives.mapping import Board
from roadsense.drives.plane import Plane
from roadsense.drives.table import Table
from roadsense.errors import DriveError

Floats = NDArray[np.float64]

GRAVITY_MPS2 = 9.80665
LEAST_INTERVAL_S, MOST_INTERVAL_S = 0.002, 5.0
SPAN_S = 2.0
"""Speeds and headings are compared with the way of this long."""
MOVING_MPS, LEAST_SPANS = 3.0, 20
KMH = (3.0, 4.3)
"""Range of the ratio of a speed in km/h to one in m/s, with the noise of positions."""
FITTING = (0.6, 1.6)
MOST_HEADING_DEG = 40.0
STANDSTILL_MPS = 0.3


def check_rate(table: Table) -> None:
    """Checks the time between rows.

    Raises:
        DriveError: if it is that of another unit of time.
    """
    usual_s = float(np.median(np.diff(table.get("time")))) if len(table) > 2 else LEAST_INTERVAL_S
    if usual_s == 0:
        raise DriveError(
            f"{table.file}: expected a time of its own in each row, got the same in most neighbours. Were the times "
            "rounded, to whole seconds or by a spreadsheet (1.76E+09)? Export them with all digits."
        )
    if not LEAST_INTERVAL_S <= usual_s <= MOST_INTERVAL_S:
        raise DriveError(
            f"{table.file}: expected a row every {LEAST_INTERVAL_S:g} to {MOST_INTERVAL_S:g} s, got one every "
            f"{usual_s:g} s. Is the unit of time in the mapping (s, ms, us or ns) that of the log?"
        )


def check_degrees(table: Table) -> None:
    """Checks latitude and longitude.

    Raises:
        DriveError: if most of them lie beyond 90 and 180 degrees.
    """
    for name, limit in (("latitude", 90.0), ("longitude", 180.0)):
        values = np.abs(table.get(name))
        values = values[np.isfinite(values)]
        if len(values) and np.median(values) > limit:
            raise DriveError(
                f"{table.file}: expected a {name} within {limit:g} degrees, got {np.median(values):g}. Is its unit in "
                "the mapping (deg, 1e-7deg, rad or dddmm.mmmm) that of the log?"
            )


def check_motion(table: Table, plane: Plane, findings: Findings, name: str = "") -> Table:
    """Returns the rows with the speed in m/s, after comparing speed and heading with the positions.

    Raises:
        DriveError: if the speed is in a unit that is not known, or the heading is no compass's.
    """
    name = name or table.file
    x_m, y_m = plane.to_metres(table.get("latitude"), table.get("longitude"))
    first, last = _spans(table.get("time"))
    took_s = table.get("time")[last] - table.get("time")[first]
    way_m, course = np.hypot(dx := x_m[last] - x_m[first], dy := y_m[last] - y_m[first]), np.arctan2(dx, dy)
    by_way = way_m / np.maximum(took_s, 1e-9)
    speed = _mean_speed(table.get("speed"), first, last)
    moving = (by_way > MOVING_MPS) & (speed > MOVING_MPS / 4) & (by_way < 80)
    if moving.sum() < LEAST_SPANS:
        return table
    ratio = float(np.median(speed[moving] / by_way[moving]))
    if KMH[0] < ratio < KMH[1]:
        findings.note("kmh", name, len(table), f"{ratio:.2f} times the speed of the positions; divided by 3.6")
        table = replace(table, numbers={**table.numbers, "speed": table.get("speed") / 3.6})
    elif not FITTING[0] < ratio < FITTING[1]:
        raise DriveError(
            f"{name}: expected speeds near those of the positions, got {ratio:.2f} times as much. Is the unit of speed "
            "in the mapping (m/s, km/h, mph or kn) that of the log?"
        )
    off_deg = np.degrees(np.abs(_turned(np.radians(table.get("heading")[last]) - course)))[moving]
    if np.nanmedian(off_deg) > MOST_HEADING_DEG:
        raise DriveError(
            f"{name}: expected headings of a compass, clockwise from north, within {MOST_HEADING_DEG:g} degrees of the "
            f"way driven, got {np.nanmedian(off_deg):.0f} degrees beside it. Is their unit (deg, rad) right, and "
            "latitude not taken for longitude?"
        )
    return table


def check_gravity(table: Table) -> None:
    """Checks the accelerations' unit by gravity, where they hold it.

    Raises:
        DriveError: if they are in g but said to be in m/s2, or the other way round.
    """
    axes = np.column_stack([table.get(f"acceleration_{axis}") for axis in "xyz"])
    if not np.isfinite(axes).all(axis=1).any():
        return
    medians = np.abs(np.nanmedian(axes, axis=0))
    upright = int(np.argmax(medians))
    level = float(medians[upright])
    spread = float(np.nanmedian(np.abs(np.abs(axes[:, upright]) - level)))
    if 0.9 < level < 1.1 and spread < 0.3:
        got = f"{level:.2f} along {'xyz'[upright]}, which is gravity in g"
    elif level > 4 * GRAVITY_MPS2:
        got = f"{level:.0f} m/s2 along {'xyz'[upright]}"
    else:
        return
    raise DriveError(
        f"{table.file}: expected accelerations in m/s2 with gravity (9.8) or without (0), got {got}. Is their unit in "
        "the mapping (m/s2, g or mg) that of the log?"
    )


def forward_mps2(table: Table, board: Board, findings: Findings, name: str = "") -> Floats:
    """Returns the acceleration along the car; from the speed if no axis is logged.

    Args:
        table: rows of one car, in order of time.
        board: orientation of its board.
        findings: gets a note if another axis fits better.
        name: name in that note; empty for the file's.
    """
    time_s, speed = table.get("time"), table.get("speed")
    if len(table) < 3:
        return np.zeros(len(table))
    by_speed = _smooth(np.gradient(speed, np.maximum.accumulate(time_s) + 1e-9 * np.arange(len(time_s))))
    axes = [table.get(f"acceleration_{axis}") for axis in "xyz"]
    values = board.signs[0] * axes[board.axes[0]]
    if not np.isfinite(values).any():
        return by_speed
    _compare_axes(axes, board, by_speed, findings, name or table.file)
    return values - standstill_mps2(values, speed, time_s) if board.calibrate else values


def _compare_axes(axes: list[Floats], board: Board, by_speed: Floats, findings: Findings, name: str) -> None:
    if np.nanstd(by_speed) < 0.2 or len(by_speed) < 100:
        return
    fits = {}
    for place, values in enumerate(axes):
        known = np.isfinite(values) & np.isfinite(by_speed)
        smooth = _smooth(np.where(known, values, 0.0))[known]
        fits[place] = float(np.corrcoef(smooth, by_speed[known])[0, 1]) if known.any() and np.std(smooth) > 0 else 0.0
    best = max(fits, key=lambda place: abs(fits[place]))
    own = board.signs[0] * fits[board.axes[0]]
    if abs(fits[best]) > 0.4 and own < abs(fits[best]) - 0.3:
        axis = f"{'-' if fits[best] < 0 else ''}{'xyz'[best]}"
        findings.note("turned_board", name, 1, f'used as mapped; [board] forward = "{axis}" fits the speed better')


def standstill_mps2(values: Floats, speed: Floats, time_s: Floats) -> float:
    """Returns the acceleration that a level board would not show: that at standstill, else what the speed denies."""
    stands = (speed < STANDSTILL_MPS) & np.isfinite(values)
    if stands.sum() >= 20:
        return float(np.median(values[stands]))
    known = np.isfinite(values) & np.isfinite(speed)
    if known.sum() < 20:
        return 0.0
    first, last = np.flatnonzero(known)[[0, -1]]
    gained = (speed[last] - speed[first]) / max(time_s[last] - time_s[first], 1.0)
    return float(np.mean(values[known]) - gained)


def _spans(time_s: Floats) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns first and last row of spans of about `SPAN_S`, without gaps."""
    last = np.searchsorted(time_s, time_s + SPAN_S)
    first = np.flatnonzero(last < len(time_s))
    last = last[first]
    whole = time_s[last] - time_s[first] < 1.5 * SPAN_S
    return first[whole], last[whole]


def _mean_speed(speed: Floats, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
    total = np.r_[0.0, np.cumsum(np.nan_to_num(speed))]
    return (total[last] - total[first]) / np.maximum(last - first, 1)


def _smooth(values: Floats, n: int = 7) -> Floats:
    n = min(n, len(values))  # else the result has the length of the window
    return np.convolve(np.nan_to_num(values), np.ones(n) / n, mode="same")


def _turned(angle: Floats) -> Floats:
    return (angle + np.pi) % (2 * np.pi) - np.pi
