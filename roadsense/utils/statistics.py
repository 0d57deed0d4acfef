"""Intervals and comparisons over episodes, with SciPy. Pure functions.

Collisions are rare, so their rate has an exact interval. Means over scenarios are interquartile means with a bootstrap
over scenarios, because the episodes of one scenario resemble each other (Agarwal et al., "Deep reinforcement learning
at the edge of the statistical precipice", 2021). Two policies are compared on the same episodes, in pairs; see
`roadsense.evaluation.sample_size` for how many episodes a claim needs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from roadsense.errors import InputError

CONFIDENCE = 0.95
N_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A figure and its confidence interval.

    Attributes:
        value: the estimate.
        low: lower end of the interval.
        high: upper end of the interval.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairedComparison:
    """Two policies on the same episodes.

    Attributes:
        n_better: number of episodes in which the first policy does better.
        n_worse: number of episodes in which the first policy does worse.
        n_equal: number of episodes in which both do the same.
        p_value: two-sided p-value of the hypothesis that better and worse are equally likely.
    """

    n_better: int
    n_worse: int
    n_equal: int
    p_value: float


def binomial_interval(n_events: int, n_trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Returns a rate with its exact (Clopper-Pearson) interval; without trials the interval is 0 to 1.

    Raises:
        InputError: if there are more events than trials, or a negative number.
    """
    if not 0 <= n_events <= n_trials:
        raise InputError(f"Expected events from 0 to the number of trials, {n_trials}, got {n_events}.")
    if not n_trials:
        return Interval(math.nan, 0.0, 1.0)
    found = binomtest(n_events, n_trials).proportion_ci(confidence, method="exact")
    return Interval(n_events / n_trials, float(found.low), float(found.high))


def interquartile_mean(values: ArrayLike) -> float:
    """Returns the mean of the middle half of the values: less noisy than the median, robust to outliers.

    A quarter of the values, rounded down, is left out on each side. NaN without values.
    """
    array = np.sort(_as_floats(values))
    cut = len(array) // 4
    return float(array[cut : len(array) - cut].mean()) if len(array) else math.nan


Statistic = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Function of sorted values (n,) and their counts in each of m samples (m, n), whole numbers; returns (m,)."""


def middle_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the interquartile mean of each sample; see `Statistic`."""
    upto = np.cumsum(weights, axis=-1)
    cut = upto[:, -1:] // 4
    inside = np.minimum(upto, upto[:, -1:] - cut) - np.maximum(upto - weights, cut)
    return plain_mean(values, np.maximum(inside, 0.0))


def plain_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the mean of each sample; see `Statistic`."""
    return weights @ values / weights.sum(axis=-1)


def bootstrap_over_groups(
    values: ArrayLike,
    groups: ArrayLike,
    rng: np.random.Generator,
    statistic: Statistic = middle_mean,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Returns a statistic with its percentile bootstrap interval; the bootstrap resamples whole groups.

    With one group there is nothing to resample, and the interval is NaN.

    Args:
        values: one value per episode.
        groups: scenario of each episode.
        rng: random generator for the resampling.
        statistic: function that computes the statistic.
        confidence: level of the interval, 0 to 1.

    Raises:
        InputError: if there is not one group for each value, or a value is not finite.
    """
    array, labels = _as_floats(values), np.asarray(groups)
    if array.shape != labels.shape:
        raise InputError(f"Expected a group for each value, got {labels.shape} for {array.shape}.")
    if not np.isfinite(array).all():
        raise InputError(f"Expected finite values, got {array}. Cap them first.")
    if not array.size:
        return Interval(math.nan, math.nan, math.nan)
    order = np.argsort(array, kind="stable")
    names, members = np.unique(labels[order], return_inverse=True)
    value = float(statistic(array[order], np.ones((1, len(array))))[0])
    if len(names) < 2:
        return Interval(value, math.nan, math.nan)
    # The count of a group in a sample is the count of each of its values: no sample has to be built.
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=N_RESAMPLES)
    resampled = statistic(array[order], drawn[:, members].astype(float))
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def ratio_over_groups(
    numerators: ArrayLike, denominators: ArrayLike, groups: ArrayLike, rng: np.random.Generator
) -> Interval:
    """Returns the ratio of two sums with its percentile bootstrap interval; the bootstrap resamples whole groups.

    Args:
        numerators: one value per episode, such as a count.
        denominators: one value per episode, such as hours.
        groups: scenario of each episode.
        rng: random generator for the resampling.
    """
    return _interval_of_sums([numerators, denominators], groups, rng, _ratio)


def ratio_difference_over_groups(
    first: tuple[ArrayLike, ArrayLike], second: tuple[ArrayLike, ArrayLike], groups: ArrayLike, rng: np.random.Generator
) -> Interval:
    """Returns the difference of two ratios of sums, first less second, on the same episodes; see `ratio_over_groups`.

    Args:
        first: numerators and denominators, one value per episode each.
        second: the same of the other.
        groups: scenario of each episode.
        rng: random generator for the resampling.
    """

    def difference(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return _ratio(sums[..., :2]) - _ratio(sums[..., 2:])

    return _interval_of_sums([*first, *second], groups, rng, difference)


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    above, below = sums[..., 0], sums[..., 1]
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _interval_of_sums(
    columns: Sequence[ArrayLike],
    groups: ArrayLike,
    rng: np.random.Generator,
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> Interval:
    """Returns a statistic of the columns' sums, shape (..., n_columns) to (...), with its bootstrap over groups."""
    table, labels = np.stack([_as_floats(column) for column in columns], axis=-1), np.asarray(groups)
    names = list(dict.fromkeys(labels.tolist()))
    sums = np.array([table[labels == name].sum(axis=0) for name in names]).reshape(-1, len(columns))
    value = float(statistic(sums.sum(axis=0)))
    if len(sums) < 2 or math.isnan(value):
        return Interval(value, math.nan, math.nan)
    drawn = statistic(sums[rng.integers(len(sums), size=(N_RESAMPLES, len(sums)))].sum(axis=-2))
    low, high = np.nanquantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(value, float(low), float(high))


def compare_pairs(values: ArrayLike, others: ArrayLike) -> PairedComparison:
    """Returns the exact sign test of two policies on the same episodes; the lower value is the better one.

    For values of 0 and 1, such as collisions, it is McNemar's exact test. Infinity is allowed and equals infinity.

    Raises:
        InputError: if the numbers of episodes differ, or a value is missing.
    """
    first, second = _pair(values, others)
    n_better, n_worse = int((first < second).sum()), int((first > second).sum())
    n_unequal = n_better + n_worse
    p_value = float(binomtest(n_better, n_unequal).pvalue) if n_unequal else 1.0
    return PairedComparison(n_better, n_worse, len(first) - n_unequal, p_value)


def paired_rate_difference(n_only_first: int, n_only_second: int, n_pairs: int) -> Interval:
    """Returns the difference of two rates on the same episodes, first minus second, with its 95 % score interval.

    It is Tango's ("Equivalence test and confidence interval for the difference in proportions for the paired-sample
    design", 1998): unlike Wald's it is not empty when both policies do the same in every episode.

    Args:
        n_only_first: number of episodes in which only the first policy has the event.
        n_only_second: number of episodes in which only the second policy has the event.
        n_pairs: number of episodes; for 0 the interval is -1 to 1.

    Raises:
        InputError: if the counts contradict each other.
    """
    if n_only_first < 0 or n_only_second < 0 or n_only_first + n_only_second > n_pairs:
        raise InputError(f"Expected counts within {n_pairs} pairs, got {n_only_first} and {n_only_second}.")
    if not n_pairs:
        return Interval(math.nan, -1.0, 1.0)
    value = (n_only_first - n_only_second) / n_pairs
    z = float(norm.ppf((1 + CONFIDENCE) / 2))
    edge = 1 - 1e-12
    counts = n_only_first, n_only_second, n_pairs
    high = 1.0 if value >= edge else brentq(lambda difference: _tango_score(*counts, difference) + z, value, edge)
    low = -1.0 if value <= -edge else brentq(lambda difference: _tango_score(*counts, difference) - z, -edge, value)
    return Interval(value, float(low), float(high))


def _tango_score(n_only_first: int, n_only_second: int, n_pairs: int, difference: float) -> float:
    """Returns the score statistic of a difference: how many standard errors the observed difference is above it."""
    excess = n_only_first - n_only_second
    slope = (2 * n_pairs - excess) * difference - n_only_first - n_only_second
    room = n_only_second * difference * (1 - difference)
    only_second = (math.sqrt(slope**2 + 8 * n_pairs * room) - slope) / (4 * n_pairs)
    variance = n_pairs * (2 * only_second + difference * (1 - difference))
    away = excess - n_pairs * difference
    return away / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, away) if away else 0.0


def probability_of_improvement(
    values: ArrayLike, others: ArrayLike, groups: ArrayLike, rng: np.random.Generator
) -> Interval:
    """Returns the probability that the first policy does better in an episode; ties count half.

    As in Agarwal et al. (2021), but on pairs, because both policies drove the same episodes; the lower value is the
    better one. The interval is a bootstrap over scenarios.

    Raises:
        InputError: if the numbers of episodes differ, or a value is missing.
    """
    first, second = _pair(values, others)
    return bootstrap_over_groups((first < second) + 0.5 * (first == second), groups, rng, plain_mean)


def _pair(values: ArrayLike, others: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = _as_floats(values), _as_floats(others)
    if first.shape != second.shape or np.isnan(first).any() or np.isnan(second).any():
        raise InputError(f"Expected two values for each episode, none missing, got {first} and {second}.")
    return first, second


def _as_floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, dtype=float)
