"""The true motion of the cars ahead at each step, as far as logs tell it: gaps, braking, what the ego had to do."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.drives.drive import Drive
from roadsense.drives.steps import STEP_S, Steps, find_spans
from roadsense.envs.convoy import CAR_LENGTH_M
from roadsense.envs.metrics import BRAKING_MPS2
from roadsense.policies.rules import required_decelerations_mps2

Floats = NDArray[np.float64]

MOST_PAUSE_S = 1.0
"""Between rows farther apart, a car's motion is not known."""
SMOOTH_S = 0.5
"""Accelerations are means over this time: an accelerometer's noise is no braking."""
HARD_MPS2, BEGINS_MPS2, LEAST_HARD_S = 3.0, 1.0, 0.3
"""A braking is hard if it is as hard as the first for at least the last; the second bounds its begin and end."""
LEAST_GAP_M = 0.5
MOST_AWAY_M = 300.0
"""A car that brakes farther away is out of the radio's reach, and concerns nobody."""


@dataclass(frozen=True)
class CarMotion:
    """A car at the steps of a drive; NaN where it is not known.

    Attributes:
        is_own: whether from the car's own log; else from what the ego heard.
        x_m: (n,) position; likewise `y_m`.
        speed_mps: (n,) speed.
        acceleration_mps2: (n,) acceleration, smoothed.
        heading_rad: (n,) heading.
        gap_m: (n,) distance ahead of the ego less the lengths of the cars between; negative behind it.
    """

    is_own: bool
    x_m: Floats
    y_m: Floats
    speed_mps: Floats
    acceleration_mps2: Floats
    heading_rad: Floats
    gap_m: Floats


@dataclass(frozen=True)
class Braking:
    """A hard braking of a car ahead.

    Attributes:
        car: name of the car.
        first: step at which it begins.
        last: step at which it ends.
        onset_s: time at which it begins.
        peak_mps2: hardest braking, from 0.
        speed_mps: the car's speed at the onset.
        final_mps: its lowest speed by the end.
    """

    car: str
    first: int
    last: int
    onset_s: float
    peak_mps2: float
    speed_mps: float
    final_mps: float


def follow_cars(drive: Drive, steps: Steps) -> dict[str, CarMotion]:
    """Returns the motion of each car that the ego heard, in the order of `Drive.peers`."""
    return {car: _follow(drive, steps, place, car) for place, car in enumerate(drive.peers)}


def _follow(drive: Drive, steps: Steps, place: int, car: str) -> CarMotion:
    log = drive.sensors.get(car)
    if log is not None:
        good = np.isfinite(log.x_m) & ~log.is_stuck & np.isfinite(log.speed_mps)
        time_s = log.time_s
        columns = (log.x_m, log.y_m, log.speed_mps, log.acceleration_mps2, log.heading_rad)
    else:
        heard = drive.heard.of(place)
        good = np.ones(len(heard.sent_s), bool)
        time_s = heard.sent_s
        columns = (heard.x_m, heard.y_m, heard.speed_mps, heard.acceleration_mps2, heard.heading_rad)
    known_s = time_s[good]
    values = [_interpolate(steps.time_s, known_s, column[good]) for column in columns[:4]]
    heading = _interpolate(steps.time_s, known_s, np.unwrap(np.nan_to_num(columns[4][good])))
    values[3] = smooth(values[3])
    dx, dy = values[0] - steps.states[:, 0], values[1] - steps.states[:, 1]
    ahead = dx * np.cos(steps.states[:, 4]) + dy * np.sin(steps.states[:, 4])
    lengths_m = CAR_LENGTH_M * (place + 1 if place < drive.n_ahead else 1)
    away = np.hypot(dx, dy)
    gap_m = np.where(ahead > 0, away - lengths_m, -away)
    gap_m = np.where(drive.own.is_stuck[steps.row], np.nan, gap_m)
    return CarMotion(log is not None, values[0], values[1], values[2], values[3], heading, gap_m)


def needed_mps2(steps: Steps, cars: Mapping[str, CarMotion], n_ahead: int) -> Floats:
    """Returns the hardest braking that the cars ahead justify at each step, from 0; NaN if the leader is not known.

    As in the environment: as hard as a slower car brakes, or enough not to hit it if it keeps braking as it does.
    """
    ego_mps = steps.states[:, 2]
    needed = np.zeros(len(steps))
    for place, motion in enumerate(list(cars.values())[:n_ahead]):
        braking = np.where(motion.acceleration_mps2 < -BRAKING_MPS2, -motion.acceleration_mps2, 0.0)
        gap_m = np.maximum(np.abs(motion.gap_m), LEAST_GAP_M)
        required = required_decelerations_mps2(gap_m, ego_mps, motion.speed_mps, braking)
        slower = (motion.speed_mps < ego_mps) & (motion.gap_m > -5)
        own = np.where(slower, np.maximum(required, braking), np.where(motion.gap_m > -5, required, 0.0))
        needed = np.fmax(needed, own) if place else np.where(np.isfinite(motion.gap_m), np.fmax(needed, own), np.nan)
    return needed


def find_brakings(steps: Steps, cars: Mapping[str, CarMotion], n_ahead: int) -> list[Braking]:
    """Returns the hard brakings of the cars ahead, in the order of their onsets."""
    found = []
    for car, motion in list(cars.items())[:n_ahead]:
        braking = -np.nan_to_num(motion.acceleration_mps2)
        hard = braking >= HARD_MPS2
        for first, last in find_spans(braking >= BEGINS_MPS2, join=3):
            is_near = not motion.gap_m[first] > MOST_AWAY_M
            if is_near and hard[first : last + 1].sum() * STEP_S >= LEAST_HARD_S:
                onset_s, peak = float(steps.time_s[first]), float(braking[first : last + 1].max())
                final = float(np.nanmin(motion.speed_mps[first : last + 1]))
                found.append(Braking(car, first, last, onset_s, peak, float(motion.speed_mps[first]), final))
    return sorted(found, key=lambda one: (one.onset_s, one.car))


def smooth(values: Floats, time_s: float = SMOOTH_S) -> Floats:
    """Returns means over a time around each step; NaN where a value is not known."""
    n = max(1, min(round(time_s / STEP_S), len(values)))  # else the result has the length of the window
    known = np.isfinite(values)
    total = np.convolve(np.where(known, values, 0.0), np.ones(n), mode="same")
    count = np.convolve(known.astype(float), np.ones(n), mode="same")
    return np.where(known, total / np.maximum(count, 1), np.nan)


def _interpolate(at_s: Floats, known_s: Floats, values: Floats) -> Floats:
    """Returns values at times; NaN outside the known times and between two that are too far apart."""
    if len(known_s) < 2:
        return np.full(len(at_s), np.nan)
    right = np.clip(np.searchsorted(known_s, at_s), 1, len(known_s) - 1)
    pause_s = known_s[right] - known_s[right - 1]
    inside = (at_s >= known_s[0] - STEP_S) & (at_s <= known_s[-1] + STEP_S)
    return np.where(inside & (pause_s <= MOST_PAUSE_S), np.interp(at_s, known_s, values), np.nan)
