"""Intervals and comparisons against known values."""

import math

import numpy as np
import pytest

from roadsense.errors import InputError
from roadsense.statistics import binomial_interval, bootstrap_over_groups, compare_pairs, interquartile_mean


@pytest.mark.parametrize(
    ("n_events", "n_trials", "low", "high"),
    [
        (0, 10, 0.0, 0.308497),  # 1 - 0.025 ** (1 / 10)
        (10, 10, 0.691503, 1.0),
        (1, 10, 0.002529, 0.445016),  # textbook values of Clopper and Pearson
        (5, 10, 0.187086, 0.812914),
        (0, 299, 0.0, 1 - 0.025 ** (1 / 299)),
    ],
)
def test_exact_interval_of_a_rate(n_events: int, n_trials: int, low: float, high: float) -> None:
    interval = binomial_interval(n_events, n_trials)
    assert interval.value == n_events / n_trials
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-6)


def test_299_clean_episodes_show_less_than_one_percent_one_sided() -> None:
    assert binomial_interval(0, 299, confidence=0.90).high < 0.01 < binomial_interval(0, 298, confidence=0.90).high


def test_no_trials_tell_nothing() -> None:
    interval = binomial_interval(0, 0)
    assert math.isnan(interval.value)
    assert (interval.low, interval.high) == (0.0, 1.0)


@pytest.mark.parametrize(("n_events", "n_trials"), [(3, 2), (-1, 2)])
def test_impossible_counts_are_refused(n_events: int, n_trials: int) -> None:
    with pytest.raises(InputError, match="Expected events from 0"):
        binomial_interval(n_events, n_trials)


def test_interquartile_mean_leaves_out_a_quarter_on_either_side() -> None:
    assert interquartile_mean([100, 3, 1, 4, 2, 5, -50, 6]) == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interquartile_mean([1, 2, 9]) == pytest.approx(4)  # a quarter of three, rounded down, is none
    assert math.isnan(interquartile_mean([]))


def test_bootstrap_resamples_whole_groups() -> None:
    rng = np.random.default_rng(0)
    within = bootstrap_over_groups(np.arange(20) % 10, np.repeat(["a", "b"], 10), rng)
    assert within.low == within.high == within.value  # both groups are the same, so nothing varies between them
    between = bootstrap_over_groups([0.0] * 10 + [1.0] * 10, np.repeat(["a", "b"], 10), rng)
    assert (between.low, between.value, between.high) == (0.0, 0.5, 1.0)


def test_bootstrap_is_the_generators() -> None:
    values, groups = np.random.default_rng(1).normal(size=40), np.arange(40) % 8
    first, second, third = (bootstrap_over_groups(values, groups, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert first == second != third
    assert first.low < first.value < first.high
    with pytest.raises(InputError, match="group for each value"):
        bootstrap_over_groups(values, groups[:-1], np.random.default_rng(0))


def test_bootstrap_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(40):
        centres = rng.normal(size=20)
        interval = bootstrap_over_groups(np.repeat(centres, 2) + rng.normal(size=40), np.repeat(range(20), 2), rng)
        hits += interval.low <= 0 <= interval.high
    assert hits >= 33


def test_paired_collisions_are_mcnemars_exact_test() -> None:
    ours = [0] * 12 + [1] * 2 + [0] * 30 + [1] * 5
    theirs = [1] * 12 + [0] * 2 + [0] * 30 + [1] * 5
    found = compare_pairs(ours, theirs)
    assert (found.n_better, found.n_worse, found.n_equal) == (12, 2, 35)
    assert found.p_value == pytest.approx(2 * sum(math.comb(14, k) for k in range(3)) / 2**14)
    assert compare_pairs(theirs, ours).n_better == 2


def test_equal_policies_are_not_told_apart() -> None:
    assert compare_pairs([0, 1, math.inf], [0, 1, math.inf]).p_value == 1.0
    assert compare_pairs([1.0], [math.inf]).n_better == 1


@pytest.mark.parametrize("others", [[0.0], [0.0, math.nan]])
def test_pairs_must_be_complete(others: list[float]) -> None:
    with pytest.raises(InputError, match="two values for each episode"):
        compare_pairs([0.0, 1.0], others)
