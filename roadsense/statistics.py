"""Intervals and comparisons over episodes, on SciPy. Pure.

A collision is rare, so its rate has the exact interval; means over scenarios are interquartile means with a bootstrap
over scenarios, because the episodes of one scenario resemble each other (Agarwal et al., "Deep reinforcement learning
at the edge of the statistical precipice", 2021). Two policies are compared on the same episodes, in pairs.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest

from roadsense.errors import InputError

CONFIDENCE = 0.95
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes:
        value: the estimate.
        low: lower end.
        high: upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same episodes.

    Attributes:
        n_better: episodes in which the first does better.
        n_worse: episodes in which it does worse.
        n_equal: episodes in which both do the same.
        p_value: two-sided, of the hypothesis that better and worse are equally likely.
    """

    n_better: int
    n_worse: int
    n_equal: int
    p_value: float


def binomial_interval(n_events: int, n_trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Returns a rate with its exact (Clopper-Pearson) interval; nothing is known, 0 to 1, without trials.

    Raises:
        InputError: if there are more events than trials, or fewer than none.
    """
    if not 0 <= n_events <= n_trials:
        raise InputError(f"Expected events from 0 to the number of trials, {n_trials}, got {n_events}.")
    if not n_trials:
        return Interval(math.nan, 0.0, 1.0)
    found = binomtest(n_events, n_trials).proportion_ci(confidence, method="exact")
    return Interval(n_events / n_trials, float(found.low), float(found.high))


def interquartile_mean(values: ArrayLike) -> float:
    """Returns the mean of the middle half of the values: less noisy than the median, deaf to outliers.

    A quarter of the values, rounded down, is left out on either side. NaN without values.
    """
    array = np.sort(_as_floats(values))
    cut = len(array) // 4
    return float(array[cut : len(array) - cut].mean()) if len(array) else math.nan


def bootstrap_over_groups(
    values: ArrayLike, groups: ArrayLike, rng: np.random.Generator, confidence: float = CONFIDENCE
) -> Interval:
    """Returns the interquartile mean with its percentile bootstrap interval, whole groups being resampled.

    Args:
        values: one per episode.
        groups: the scenario of each.
        rng: generator of the resampling.
        confidence: of the interval, 0 to 1.

    Raises:
        InputError: if there is not one group for each value.
    """
    array, labels = _as_floats(values), np.asarray(groups)
    if array.shape != labels.shape:
        raise InputError(f"Expected a group for each value, got {labels.shape} for {array.shape}.")
    if not array.size:
        return Interval(math.nan, math.nan, math.nan)
    members = [array[labels == label] for label in dict.fromkeys(labels.tolist())]
    drawn = rng.integers(len(members), size=(N_RESAMPLES, len(members)))
    means = [interquartile_mean(np.concatenate([members[index] for index in row])) for row in drawn]
    edge = (1 - confidence) / 2
    low, high = np.quantile(means, [edge, 1 - edge])
    return Interval(interquartile_mean(array), float(low), float(high))


def compare_pairs(values: ArrayLike, others: ArrayLike) -> PairedComparison:
    """Returns the exact sign test of two policies on the same episodes; the lower value is the better one.

    On values of 0 and 1, as collisions are, it is McNemar's exact test. Infinity is a value like others, and two of
    them are equal.

    Raises:
        InputError: if the episodes are not the same number, or a value is missing.
    """
    first, second = _as_floats(values), _as_floats(others)
    if first.shape != second.shape or np.isnan(first).any() or np.isnan(second).any():
        raise InputError(f"Expected two values for each episode, none missing, got {first} and {second}.")
    n_better, n_worse = int((first < second).sum()), int((first > second).sum())
    n_unequal = n_better + n_worse
    p_value = float(binomtest(n_better, n_unequal).pvalue) if n_unequal else 1.0
    return PairedComparison(n_better, n_worse, len(first) - n_unequal, p_value)


def _as_floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=float)
