"""What the boxes of a drive measure with, as far as their logs tell it: ranges for `EnvConfig.sensors`."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.drive import Drive, SensorLog
from roadsense.drives.units import standstill_mps2
from roadsense.envs.radio.fit import MEDIAN_TO_STD
from roadsense.envs.sensors import HOBBY, SensorRanges

Floats = NDArray[np.float64]

MOVING_MPS = 3.0
LEAST_ROWS = 100
"""Fewer rows of a car tell nothing about its box."""
MARGIN = 1.25
"""Ranges are wider than the figures of the drive's cars by this factor."""
SAME_RAD, SAME_MPS = 2e-5, 1e-6
"""A fix is new if course or speed differ by more; a course on the plane turns a little with the position."""
LEAST_STEP = 1e-4
NOT_TOLD = ("wander_std_m", "wander_time_s", "common_share", "fix_delay_s", "slope", "slope_way_m", "position_step_m",
            "heading_step_rad")  # fmt: skip
"""Figures that a drive without a reference cannot tell."""


def fit_sensors(drive: Drive) -> tuple[SensorRanges, list[str]]:
    """Returns ranges that cover the boxes of a drive, and notes on the figures that it does not tell.

    Noise is what a value differs by from the middle of its neighbours: a steady change is none. In a car that drives,
    most of the accelerations' noise is the car's own shaking.

    Args:
        drive: the drive; every car that logged what its sensors said counts.

    Examples:
        >>> import roadsense as rs
        >>> from roadsense.drives.box_errors import fit_sensors
        >>> ranges, notes = fit_sensors(rs.read_drive("drives/sample"))
        >>> ranges.fix_interval_s[0] < 0.15
        True
    """
    figures = [_measure(log) for log in drive.sensors.values()]
    found, missing = {}, []
    for name in ("fix_interval_s", "velocity_std_mps", "position_std_m", "noise_mps2", "bias_mps2", "speed_step_mps",
                 "acceleration_step_mps2"):  # fmt: skip
        values = [each[name] for each in figures if np.isfinite(each.get(name, np.nan))]
        if values:
            found[name] = (_round(min(values) / MARGIN), _round(max(values) * MARGIN))
        else:
            missing.append(name)
    notes = [f"A drive does not tell {', '.join((*NOT_TOLD, *missing))} of its sensors: they stay those of hobby."]
    return replace(HOBBY, **found), notes


def _measure(log: SensorLog) -> dict[str, float]:
    """Returns the figures of one car's box; those that it does not tell are missing or NaN."""
    moving = (log.speed_mps > MOVING_MPS) & np.isfinite(log.x_m) & ~log.is_stuck
    if moving.sum() < LEAST_ROWS:
        return {}
    turned = np.abs(np.diff(np.unwrap(np.nan_to_num(log.heading_rad)))) > SAME_RAD
    is_fix = moving & np.r_[True, turned | (np.abs(np.diff(log.speed_mps)) > SAME_MPS)]
    fix = np.flatnonzero(is_fix)
    interval_s = float(np.median(np.diff(log.time_s[fix])))
    rows = np.flatnonzero(moving)
    row_s = float(np.median(np.diff(log.time_s[rows])))
    east_m, north_m = (_noise(values[fix], log.time_s[fix], interval_s) for values in (log.x_m, log.y_m))
    return {
        "fix_interval_s": interval_s,
        "velocity_std_mps": _noise(log.speed_mps[fix], log.time_s[fix], interval_s),
        "position_std_m": float(np.hypot(east_m, north_m) / np.sqrt(2)),
        "noise_mps2": _noise(log.acceleration_mps2[rows], log.time_s[rows], row_s),
        "bias_mps2": abs(standstill_mps2(log.acceleration_mps2, log.speed_mps, log.time_s)),
        "speed_step_mps": _step(log.speed_mps),
        "acceleration_step_mps2": _step(log.acceleration_mps2),
    }


def _noise(values: Floats, time_s: Floats, interval_s: float) -> float:
    """Returns the standard deviation of white noise in values that are an interval apart; NaN if they are too few."""
    even = np.abs(np.diff(time_s) - interval_s) < 0.3 * interval_s
    off = (values[1:-1] - (values[:-2] + values[2:]) / 2)[even[:-1] & even[1:]]
    off = off[np.isfinite(off)]
    return float(MEDIAN_TO_STD * np.median(np.abs(off)) / np.sqrt(1.5)) if len(off) >= LEAST_ROWS / 2 else np.nan


def _step(values: Floats) -> float:
    """Returns the step in which values were written; 0 if it is finer than it matters."""
    known = np.unique(np.round(values[np.isfinite(values)], 6))
    steps = np.diff(known)
    step = float(np.min(steps[steps > LEAST_STEP / 10])) if (steps > LEAST_STEP / 10).any() else 0.0
    return step if step >= LEAST_STEP else 0.0


def _round(figure: float) -> float:
    return float(f"{figure:.3g}")
