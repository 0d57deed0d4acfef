"""Intervals and comparisons against known values."""

import math

import numpy as np
import pytest

from roadsense.errors import InputError
from roadsense.evaluation.generalisation import rate_difference
from roadsense.evaluation.sample_size import episodes_for_rate, pairs_for_difference, upper_bound
from roadsense.utils.statistics import (
    binomial_interval,
    bootstrap_over_groups,
    compare_pairs,
    interquartile_mean,
    paired_rate_difference,
    plain_mean,
    probability_of_improvement,
    ratio_difference_over_groups,
    ratio_over_groups,
)


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


@pytest.mark.parametrize(
    ("only_first", "only_second", "n_pairs", "low", "high"),
    [
        # Fagerland, Lydersen and Laake 2014, airway data of Bentur et al.: Tango's interval.
        (1, 7, 21, -0.517, -0.026),
        # Without a discordant pair it is z^2 / (n + z^2) to both sides.
        (0, 0, 100, -0.0370, 0.0370),
        (0, 0, 20, -0.1611, 0.1611),
    ],
)
def test_score_interval_of_a_paired_difference(
    only_first: int, only_second: int, n_pairs: int, low: float, high: float
) -> None:
    interval = paired_rate_difference(only_first, only_second, n_pairs)
    assert interval.value == (only_first - only_second) / n_pairs
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-4)
    mirrored = paired_rate_difference(only_second, only_first, n_pairs)
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


def test_score_interval_at_the_ends() -> None:
    assert paired_rate_difference(5, 0, 5).high == 1.0
    assert paired_rate_difference(0, 5, 5).low == -1.0
    nothing = paired_rate_difference(0, 0, 0)
    assert (nothing.low, nothing.high) == (-1.0, 1.0)
    for wrong in ((-1, 0, 5), (3, 3, 5)):
        with pytest.raises(InputError, match="Expected counts"):
            paired_rate_difference(*wrong)


def test_score_interval_covers_what_it_promises() -> None:
    rng = np.random.default_rng(4)
    shares = (0.10, 0.04, 0.86)
    covered = 0
    for first, second, _ in rng.multinomial(150, shares, size=600):
        interval = paired_rate_difference(int(first), int(second), 150)
        covered += interval.low <= shares[0] - shares[1] <= interval.high
    assert covered / 600 == pytest.approx(0.95, abs=0.025)


def test_difference_of_independent_rates() -> None:
    # Newcombe 1998, table II, method 10.
    for counts, low, high in (
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((0, 10, 0, 10), -0.2775, 0.2775),
    ):
        interval = rate_difference(*counts)
        assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_probability_of_improvement_counts_ties_half() -> None:
    groups = np.repeat(["a", "b"], 5)
    better, same = np.arange(10.0), np.arange(10.0)
    same[:5] += 1  # worse in one scenario, equal in the other
    found = probability_of_improvement(better, same, groups, np.random.default_rng(0))
    assert found.value == 0.75
    assert (found.low, found.high) == (0.5, 1.0)


def test_ratio_over_scenarios_is_that_of_the_sums() -> None:
    found = ratio_over_groups([1, 0, 5, 0], [10, 10, 20, 20], ["a", "a", "b", "b"], np.random.default_rng(0))
    assert found.value == 6 / 60
    assert (found.low, found.high) == (1 / 20, 5 / 40)
    assert math.isnan(ratio_over_groups([1], [2], ["a"], np.random.default_rng(0)).low)  # one scenario tells no spread
    assert math.isnan(ratio_over_groups([0, 0], [0, 0], ["a", "b"], np.random.default_rng(0)).value)


def test_difference_of_ratios_pairs_the_scenarios() -> None:
    groups, rng = ["a", "a", "b", "b"], np.random.default_rng(0)
    found = ratio_difference_over_groups(([2, 0, 6, 0], [10] * 4), ([1, 0, 5, 0], [10] * 4), groups, rng)
    assert found.value == pytest.approx(8 / 40 - 6 / 40)
    assert (found.low, found.high) == pytest.approx((1 / 20, 1 / 20))  # the same in each: what varies is shared


def test_bootstrap_is_the_same_whether_scenarios_have_as_many_episodes_or_not() -> None:
    rng = np.random.default_rng(1)
    values, groups = rng.normal(size=60), np.repeat(np.arange(6), 10)
    even = bootstrap_over_groups(values, groups, np.random.default_rng(0), plain_mean)
    uneven = bootstrap_over_groups(values[:-1], groups[:-1], np.random.default_rng(0), plain_mean)
    assert (uneven.low, uneven.high) == pytest.approx((even.low, even.high), abs=0.05)
    assert math.isnan(bootstrap_over_groups([1.0, 2.0], ["a", "a"], rng).low)


def test_how_many_episodes_a_rate_takes() -> None:
    assert episodes_for_rate(0, 0, 0.01) == 299  # 0.99 ** 299 < 0.05
    assert episodes_for_rate(0, 150, 0.01) == 149
    assert episodes_for_rate(0, 299, 0.01) == 0
    assert episodes_for_rate(2, 150, 0.01) is None  # 1.3 % was seen
    more = episodes_for_rate(1, 150, 0.01)
    assert more
    assert upper_bound(math.ceil((150 + more) / 150), 150 + more) <= 0.01
    with pytest.raises(InputError, match="limit"):
        episodes_for_rate(0, 10, 0.0)


def test_how_many_pairs_a_difference_takes() -> None:
    assert pairs_for_difference(6, 0, 100) == 0  # 2 / 2 ** 6 < 0.05
    assert pairs_for_difference(5, 0, 100) == 20  # the sixth comes after as many again as one took
    assert pairs_for_difference(2, 2, 100) is None
    assert pairs_for_difference(0, 0, 100) is None
