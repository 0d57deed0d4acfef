"""The score of a policy: one number for the search of settings, for the best checkpoint and for the best rule.

It is what the episodes show for sure, less what the policy costs:

    lower end of the share of safe episodes (exact 95 % interval) - share of calm time braked falsely

Doing nothing scores what the driver alone reaches; braking all the time scores about 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadsense.utils.statistics import Interval, binomial_interval

CRITICAL_TTC_S = 1.5
"""An episode with a smaller time to collision than this, or with a collision, is unsafe (Van der Horst, 1990)."""
SCORED = ("collision", "min_ttc_s", "calm_s", "false_braking_s")
"""Columns of an episode's row that the score needs."""


@dataclass(frozen=True)
class Score:
    """A policy's score and what it is made of.

    Attributes:
        n_episodes: episodes it is from.
        n_unsafe: unsafe ones.
        unsafe: their share, 0 to 1, with its exact 95 % interval.
        false_braking_share: share of calm time braked falsely, 0 to 1.
    """

    n_episodes: int
    n_unsafe: int
    unsafe: Interval
    false_braking_share: float

    @property
    def value(self) -> float:
        """The score; the larger the better, at most 1."""
        return 1 - self.unsafe.high - self.false_braking_share


def is_unsafe(collision: ArrayLike, min_ttc_s: ArrayLike) -> NDArray[np.bool_]:
    """Returns which episodes are unsafe, see `CRITICAL_TTC_S`."""
    return np.asarray(collision, bool) | (np.asarray(min_ttc_s, float) < CRITICAL_TTC_S)


def score_episodes(columns: Mapping[str, ArrayLike]) -> Score:
    """Returns the score over episodes in which SUMO did not fail.

    Args:
        columns: the values of each of `SCORED`, one per episode.
    """
    unsafe = is_unsafe(columns["collision"], columns["min_ttc_s"])
    calm_s, braked_s = (float(np.sum(columns[name])) for name in ("calm_s", "false_braking_s"))
    rate = binomial_interval(int(unsafe.sum()), len(unsafe))
    return Score(len(unsafe), int(unsafe.sum()), rate, braked_s / calm_s if calm_s else 0.0)
