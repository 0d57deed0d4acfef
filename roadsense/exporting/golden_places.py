"""Golden scenes for the firmware's choice of senders: many around a car, and what the environment shows the policy."""

import math

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import N_VALUES, Observation, observe, split_observation
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import get_preset

N_SCENES, N_SENDERS = 12, 30
TOLERANCE = 1e-3
"""Largest difference of a scaled value: single against double precision."""
N_NEAR = 12
"""Senders in a scene on the car's road, more than there are places; the others are all around."""


def draw_scenes(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], Observation]:
    """Returns cars (n, 5), their senders (n, `N_SENDERS`, 7) and the observations, as the C structs hold them.

    Args:
        seed: seed of the scenes.
    """
    rng = np.random.default_rng(seed)
    cars = np.column_stack([rng.uniform(0, 30, N_SCENES), *rng.uniform(-4, 4, (2, N_SCENES)),
                            rng.uniform(0, 8, N_SCENES), rng.uniform(-math.pi, math.pi, N_SCENES)])  # fmt: skip
    senders = np.stack([_draw_senders(rng, course_rad) for course_rad in cars[:, 4]])
    rows = np.empty((N_SCENES, N_VALUES), np.float32)
    for row, car, scene in zip(rows, cars, senders, strict=True):
        _observe(row, car, scene)
    return cars.astype(np.float32), senders.astype(np.float32), split_observation(rows)


def _draw_senders(rng: np.random.Generator, course_rad: float) -> NDArray[np.float64]:
    way_m, turn_rad = rng.uniform(-80, 120, N_SENDERS), rng.uniform(-math.pi, math.pi, N_SENDERS)
    aside_m = rng.uniform(-40, 40, N_SENDERS)
    turn_rad[:N_NEAR], aside_m[:N_NEAR] = rng.uniform(-0.5, 0.5, N_NEAR), rng.uniform(-4, 4, N_NEAR)
    bearing_rad = course_rad + turn_rad / 2
    courses_rad = course_rad + turn_rad
    courses_rad[rng.integers(N_SENDERS, size=3)] = math.nan
    return np.column_stack([
        way_m * np.cos(bearing_rad) - aside_m * np.sin(bearing_rad),
        way_m * np.sin(bearing_rad) + aside_m * np.cos(bearing_rad),
        rng.uniform(0, 30, N_SENDERS), *rng.uniform(-8, 4, (2, N_SENDERS)), courses_rad,
        0.1 * rng.integers(0, 20, N_SENDERS),
    ])  # fmt: skip


def _observe(row: NDArray[np.float32], car: NDArray[np.float64], scene: NDArray[np.float64]) -> None:
    now = 20
    channel = V2vChannel(get_preset("ideal"), len(scene), 1, 0.1, np.random.default_rng(0))
    for place, (east_m, north_m, speed_mps, braking_mps2, steady_mps2, course_rad, age_s) in enumerate(scene.tolist()):
        channel.messages[place] = (now - round(10 * age_s), east_m, north_m, speed_mps, braking_mps2, course_rad)
        channel.courses_rad[place], channel.steady_mps2[place] = course_rad, steady_mps2
    speed_mps, acceleration_mps2, driver_mps2, assist_mps2, course_rad = car.tolist()
    own = (0.0, 0.0, speed_mps, acceleration_mps2, course_rad)
    observe(row, own, (driver_mps2, assist_mps2), [channel], now)
