"""The driver's profile: reaction time, headway and judgement of gaps, drawn once per episode. Pure."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.utils.bounds import check_bounds

GAP_ERROR_TIME_S = 20.0
"""Correlation time of the gap's misjudgement (Treiber, Kesting and Helbing, "Delays, inaccuracies and anticipation in
microscopic traffic models", 2006)."""


@dataclass(frozen=True)
class DriverRanges:
    """Ranges that a driver is drawn from, uniformly, once per episode.

    Attributes:
        reaction_time_min_s: shortest delay between what happens ahead and the pedal.
        reaction_time_max_s: longest such delay.
        time_headway_min_s: shortest time headway that a driver keeps.
        time_headway_max_s: longest such headway.
        gap_error_std: standard deviation of the relative error in judging the gap.
        max_deceleration_min_mps2: hardest braking of the most timid driver, from 0.
        max_deceleration_max_mps2: hardest braking of the boldest driver, from 0.
    """

    reaction_time_min_s: float = 0.8
    reaction_time_max_s: float = 1.6
    time_headway_min_s: float = 0.5
    time_headway_max_s: float = 1.0
    gap_error_std: float = 0.08
    max_deceleration_min_mps2: float = 6.0
    max_deceleration_max_mps2: float = 8.0

    def __post_init__(self) -> None:
        check_bounds(self)


POPULATIONS = {
    "tailgaters": DriverRanges(),
    "mixed": DriverRanges(reaction_time_min_s=0.7, time_headway_max_s=2.0),
}
"""Populations of drivers by name. `tailgaters` keep a headway below their reaction time; trainings use them. `mixed`
goes from tailgating to attentive: reactions to brake lights from 0.7 s (expected) to 1.5 s (surprise) after Green, "How
long does it take to stop?", 2000; headways from the 0.66 s that drivers accept as shortest (Taieb-Maimon and Shinar,
"Minimum and comfortable driving headways", 2001) to the 2 s of driving schools."""


@dataclass(frozen=True)
class DriverProfile:
    """Profile of one driver.

    Attributes:
        reaction_time_s: delay between what happens ahead and the pedal.
        time_headway_s: desired time headway.
        minimum_gap_m: desired gap at standstill.
        speed_factor: desired speed as a share of the limit.
        max_deceleration_mps2: hardest braking, from 0.
    """

    reaction_time_s: float = 1.2
    time_headway_s: float = 1.1
    minimum_gap_m: float = 2.5
    speed_factor: float = 1.05
    max_deceleration_mps2: float = 7.0


PERFECT_DRIVER = DriverProfile(reaction_time_s=0.0, max_deceleration_mps2=8.0)
"""No reaction time and, with a gap error of zero, perfect judgement: the upper bound of what an assist can do."""


def draw_driver(rng: np.random.Generator, ranges: DriverRanges) -> DriverProfile:
    """Returns a driver drawn from `ranges`."""
    return DriverProfile(
        reaction_time_s=rng.uniform(ranges.reaction_time_min_s, ranges.reaction_time_max_s),
        time_headway_s=rng.uniform(ranges.time_headway_min_s, ranges.time_headway_max_s),
        minimum_gap_m=rng.uniform(2.0, 3.0),
        speed_factor=rng.uniform(1.0, 1.1),
        max_deceleration_mps2=rng.uniform(ranges.max_deceleration_min_mps2, ranges.max_deceleration_max_mps2),
    )


def draw_gap_errors(rng: np.random.Generator, n_steps: int, std: float, step_length_s: float) -> NDArray[np.float64]:
    """Returns the factor by which the gap is misjudged at each step, shape (n_steps,), around 1.

    An Ornstein-Uhlenbeck process, lognormal so that the factor stays positive.
    """
    keep = math.exp(-step_length_s / GAP_ERROR_TIME_S)
    kicks = rng.normal(0.0, std * math.sqrt(1 - keep**2), n_steps)
    errors: list[float] = []
    level = rng.normal(0.0, std)
    for kick in kicks.tolist():
        errors.append(level)
        level = keep * level + kick
    return np.exp(errors)
