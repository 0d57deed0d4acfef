"""Safety metrics of two cars in line, after SUMO's definitions; pure.

One definition of distance: `gap_m` is bumper to bumper along the lane, ground truth. Sources: Minderhoud and Bovy,
"Extended time-to-collision measures for road traffic safety assessment", 2001 (TTC); Cooper and Ferguson, "Traffic
studies at T-junctions", 1976 (DRAC). Each function takes numbers or arrays of one shape and returns an array of this
shape; `required_deceleration_mps2`, which the environment needs in every step, takes numbers.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

NEVER: Final = math.inf
"""Value of a time that never comes: no leader, or the gap does not shrink."""

MIN_GAP_M: Final = 0.01
"""Smaller gaps count as this one, so that the figures stay finite at contact."""

BRAKING_MPS2: Final = 0.5
"""A leader that decelerates less counts as keeping its speed."""


def time_to_collision_s(gap_m: ArrayLike, speed_mps: ArrayLike, leader_speed_mps: ArrayLike) -> NDArray[np.float64]:
    """Returns the time until contact if both keep their speed; `NEVER` if the gap does not shrink."""
    approach_mps = np.subtract(speed_mps, leader_speed_mps)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(approach_mps > 0, np.maximum(gap_m, 0.0) / approach_mps, NEVER)


def time_headway_s(gap_m: ArrayLike, speed_mps: ArrayLike) -> NDArray[np.float64]:
    """Returns the time in which the car covers the gap to its leader; `NEVER` at standstill."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.greater(speed_mps, 0), np.divide(np.maximum(gap_m, 0.0), speed_mps), NEVER)


def drac_mps2(gap_m: ArrayLike, speed_mps: ArrayLike, leader_speed_mps: ArrayLike) -> NDArray[np.float64]:
    """Returns the deceleration rate that avoids the crash if the leader keeps its speed, from 0."""
    approach_mps = np.maximum(np.subtract(speed_mps, leader_speed_mps), 0.0)
    return approach_mps**2 / (2 * np.maximum(gap_m, MIN_GAP_M))


def jerk_mps3(acceleration_mps2: float, previous_mps2: float, step_length_s: float) -> float:
    """Returns the change of acceleration per second over one step."""
    return (acceleration_mps2 - previous_mps2) / step_length_s


def required_deceleration_mps2(gap_m: float, speed_mps: float, leader: tuple[float, float]) -> float:
    """Returns the least constant deceleration that avoids hitting a leader that keeps its present braking.

    If the two reach the same speed before the leader stands, it is the leader's deceleration plus DRAC; otherwise it
    is v^2 / 2 divided by the sum of the gap and the leader's stopping distance. If the leader does not brake, it is
    DRAC.

    Args:
        gap_m: gap, bumper to bumper.
        speed_mps: speed of the car behind.
        leader: speed and acceleration of the car ahead, in m/s and m/s2.
    """
    leader_speed_mps, leader_acceleration_mps2 = leader
    gap_m, approach_mps = max(gap_m, MIN_GAP_M), speed_mps - leader_speed_mps
    drac = math.pow(approach_mps, 2.0) / (2 * gap_m) if approach_mps > 0 else 0.0
    if leader_acceleration_mps2 >= -BRAKING_MPS2 or speed_mps <= 0:
        return drac
    braking_mps2 = -leader_acceleration_mps2
    if approach_mps > 0 and 2 * gap_m * braking_mps2 <= leader_speed_mps * approach_mps:
        return braking_mps2 + drac
    return math.pow(speed_mps, 2.0) / (2 * gap_m + math.pow(leader_speed_mps, 2.0) / braking_mps2)
