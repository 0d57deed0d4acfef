"""The score of a policy: one number for the search of settings, for the best checkpoint and for the best rule.

It is the safety that the episodes show with confidence, less the policy's cost:

    lower end of the share of safe episodes (exact 95 % interval) - mean needless braking [m/s2]

Needless braking is the acceleration that the assist takes off the driver's beyond what a car ahead makes reasonable,
even weak braking and during hazards (`roadsense.envs.reward.needless_mps2`); taking off 1 m/s2 all the time costs 1.
A policy that never brakes scores the same as the driver alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadsense.utils.statistics import Interval, binomial_interval

CRITICAL_TTC_S = 1.5
"""An episode with a smaller time to collision than this, or with a collision, is unsafe (Van der Horst, 1990)."""
SCORED = ("collision", "min_ttc_s", "duration_s", "needless_speed_loss_mps")
"""Columns of an episode's row that the score needs."""


@dataclass(frozen=True)
class Score:
    """A policy's score and its parts.

    Attributes:
        n_episodes: number of scored episodes.
        n_unsafe: number of unsafe episodes.
        unsafe: share of unsafe episodes, 0 to 1, with its exact 95 % interval.
        needless_mps2: mean needless braking of the assist over all time, m/s2, from 0.
    """

    n_episodes: int
    n_unsafe: int
    unsafe: Interval
    needless_mps2: float

    @property
    def value(self) -> float:
        """The score; the larger the better, at most 1."""
        return 1 - self.unsafe.high - self.needless_mps2


def is_unsafe(collision: ArrayLike, min_ttc_s: ArrayLike) -> NDArray[np.bool_]:
    """Returns which episodes are unsafe, see `CRITICAL_TTC_S`."""
    return np.asarray(collision, bool) | (np.asarray(min_ttc_s, float) < CRITICAL_TTC_S)


def score_episodes(columns: Mapping[str, ArrayLike]) -> Score:
    """Returns the score over episodes in which SUMO did not fail.

    Args:
        columns: values of each column of `SCORED`, one per episode.
    """
    unsafe = is_unsafe(columns["collision"], columns["min_ttc_s"])
    duration_s, loss_mps = (float(np.sum(columns[name])) for name in ("duration_s", "needless_speed_loss_mps"))
    rate = binomial_interval(int(unsafe.sum()), len(unsafe))
    return Score(len(unsafe), int(unsafe.sum()), rate, loss_mps / duration_s if duration_s else 0.0)
