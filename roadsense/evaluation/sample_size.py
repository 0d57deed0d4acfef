"""How many episodes a claim needs, with SciPy. Pure."""

import math
from collections.abc import Callable

from scipy.stats import beta, binomtest

from roadsense.errors import InputError

CONFIDENCE = 0.95
MOST = 1_000_000
"""Largest number of episodes to search."""


def upper_bound(n_events: int, n_trials: int, confidence: float = CONFIDENCE) -> float:
    """Returns the one-sided exact (Clopper-Pearson) upper bound of a rate; 1 without trials."""
    if n_events >= n_trials:
        return 1.0
    return float(beta.ppf(confidence, n_events + 1, n_trials - n_events))


def episodes_for_rate(n_events: int, n_trials: int, limit: float) -> int | None:
    """Returns how many more episodes show a rate below a limit, if events continue at the same rate.

    Without an event it is the number of further clean episodes: 299 in all for 1 %.

    Args:
        n_events: number of events so far.
        n_trials: number of episodes so far.
        limit: rate in the claim "below `limit`", above 0 and below 1.

    Returns:
        0 if it is shown already; None if no number is enough, because the observed rate is not below the limit.

    Raises:
        InputError: if the limit is outside its range.
    """
    if not 0 < limit < 1:
        raise InputError(f"Expected a limit above 0 and below 1, got {limit}.")
    if upper_bound(n_events, n_trials) <= limit:
        return 0
    rate = n_events / n_trials if n_trials else 0.0
    if rate >= limit:
        return None
    return _least(lambda total: upper_bound(math.ceil(rate * total), total) <= limit, n_trials)


def pairs_for_difference(n_better: int, n_worse: int, n_pairs: int, significance: float = 0.05) -> int | None:
    """Returns how many more pairs make a difference significant, if the shares of better and worse pairs stay.

    Args:
        n_better: number of pairs in which the first policy was better.
        n_worse: number of pairs in which it was worse.
        n_pairs: number of all pairs, equal ones included.
        significance: level of the two-sided exact sign test, above 0 and below 1.

    Returns:
        0 if it is significant already; None if there is no difference that more pairs could show.
    """
    if _p_value(n_better, n_worse) < significance:
        return 0
    if n_better == n_worse:
        return None
    share_better, share_worse = n_better / n_pairs, n_worse / n_pairs
    return _least(
        lambda total: _p_value(math.floor(share_better * total), math.floor(share_worse * total)) < significance,
        n_pairs,
    )


def _p_value(n_better: int, n_worse: int) -> float:
    return float(binomtest(n_better, n_better + n_worse).pvalue) if n_better + n_worse else 1.0


def _least(holds: Callable[[int], bool], so_far: int) -> int | None:
    """Returns how many more are needed; the claim is taken to hold from its first number on."""
    high = max(so_far, 1)
    while not holds(high):
        high *= 2
        if high > MOST:
            return None
    low = max(high // 2, so_far)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high - so_far
