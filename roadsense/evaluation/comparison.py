"""Two policies on the same episodes: what one does better than the other, and how sure that is."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from roadsense.errors import InputError
from roadsense.evaluation.sample_size import pairs_for_difference
from roadsense.evaluation.summary import TTC_CAP_S, answer_times_s, complete, unsafe
from roadsense.utils.statistics import (
    Interval,
    bootstrap_over_groups,
    compare_pairs,
    paired_rate_difference,
    plain_mean,
    probability_of_improvement,
)

SAME_EPISODE = ["part", "curve_value", "scenario", "seed", "sumo_seed", "hazard_forced", "sumo_checks"]
"""Rows that agree in these are the same episode: same traffic, driver, radio draws and planned hazard."""
BETTER, WORSE, NOTHING_SHOWN = "better", "worse", "no difference shown"


@dataclass(frozen=True)
class Figure:
    """Something two policies are compared in.

    Attributes:
        name: of it.
        label: for people.
        sign: 1 if less is better, -1 if more is.
        is_rate: whether it is yes or no for each episode.
    """

    name: str
    label: str
    sign: int = 1
    is_rate: bool = False


FIGURES = (
    Figure("collision", "collisions", is_rate=True),
    Figure("unsafe", "unsafe episodes", is_rate=True),
    Figure("reaction_time_s", "car's reaction time [s]"),
    Figure("min_ttc_s", "smallest time to collision [s]", -1),
    Figure("false_brakings", "false brakings per episode"),
    Figure("follower_min_ttc_s", "smallest time to collision of the car behind [s]", -1),
    Figure("max_jerk_mps3", "largest jerk [m/s3]"),
    Figure("time_lost_s", "time lost [s]"),
)


def compare_policies(
    episodes: pd.DataFrame, first: str, second: str, rng: np.random.Generator, others: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Returns, for each of `FIGURES`, the paired difference of two policies with its 95 % interval.

    Args:
        episodes: of one part of an evaluation.
        first: policy of interest.
        second: the one it is compared with.
        rng: generator of the bootstrap.
        others: where the second one's episodes are, if in another table.

    Returns:
        A row for each figure: `difference` is first less second, with `low` and `high` (Tango's score interval for
        rates, else a bootstrap over scenarios); `better`, `worse` and `equal` count pairs; `p_value` is that of the
        exact sign test (McNemar's for rates); `verdict` is better or worse if the interval excludes 0; `more_pairs` is
        how many more pairs would show a difference that goes on as it did (missing if none would).

    Raises:
        InputError: if the two have no episode in common.
    """
    pairs = pair_episodes(episodes, first, second, others)
    return pd.DataFrame([_compare(figure, pairs, first, second, rng) for figure in FIGURES])


def pair_episodes(
    episodes: pd.DataFrame, first: str, second: str, others: pd.DataFrame | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the episodes both policies drove to their end, in the same order.

    Raises:
        InputError: if there is none.
    """
    tables = []
    for name, table in ((first, episodes), (second, episodes if others is None else others)):
        own = complete(table[table["policy"] == name])
        tables.append(own.assign(unsafe=unsafe(own)).set_index(SAME_EPISODE))
    common = tables[0].index.intersection(tables[1].index)
    if not len(common):
        raise InputError(
            f"Expected episodes that both {first!r} and {second!r} drove, found none in common. Evaluate both with the "
            "same dataset and seed."
        )
    one, two = (table.loc[common].reset_index() for table in tables)
    return one, two


def _compare(
    figure: Figure, pairs: tuple[pd.DataFrame, pd.DataFrame], first: str, second: str, rng: np.random.Generator
) -> dict[str, Any]:
    one, two = (_values(figure, table) for table in pairs)
    known = one.notna() & two.notna()
    one, two, groups = one[known], two[known], pairs[0].loc[known, "scenario"]
    found = compare_pairs(figure.sign * one, figure.sign * two)
    if figure.is_rate:
        interval = paired_rate_difference(
            int(((one > 0) & (two == 0)).sum()), int(((one == 0) & (two > 0)).sum()), len(one)
        )
    else:
        interval = bootstrap_over_groups(one - two, groups, rng, plain_mean)
    chance = probability_of_improvement(figure.sign * one, figure.sign * two, groups, rng)
    return {
        "figure": figure.name, "label": figure.label, "first": first, "second": second, "pairs": len(one),
        "first_mean": one.mean(), "second_mean": two.mean(),
        "difference": interval.value, "low": interval.low, "high": interval.high,
        "better": found.n_better, "worse": found.n_worse, "equal": found.n_equal, "p_value": found.p_value,
        "improvement": chance.value, "improvement_low": chance.low, "improvement_high": chance.high,
        "verdict": judge(interval, figure.sign),
        "more_pairs": pairs_for_difference(found.n_better, found.n_worse, len(one)),
    }  # fmt: skip


def judge(interval: Interval, sign: int = 1) -> str:
    """Returns what an interval of a difference shows: nothing unless it excludes 0.

    Args:
        interval: of first less second.
        sign: 1 if less is better.
    """
    if interval.low > 0:
        return WORSE if sign > 0 else BETTER
    if interval.high < 0:
        return BETTER if sign > 0 else WORSE
    return NOTHING_SHOWN


def _values(figure: Figure, table: pd.DataFrame) -> pd.Series:
    values = table[figure.name].astype(float)
    if figure.name in ("min_ttc_s", "follower_min_ttc_s"):
        return values.clip(upper=TTC_CAP_S)
    if figure.name == "reaction_time_s":  # of a hazard that happened; not to answer it is the slowest answer
        return answer_times_s(values).where(table["hazard"])
    return values


def compare_all(episodes: pd.DataFrame, first: str, seconds: Iterable[str], rng: np.random.Generator) -> pd.DataFrame:
    """Returns the comparisons of one policy with several others; those without a common episode are left out."""
    tables = []
    for second in seconds:
        with suppress(InputError):
            if second != first:
                tables.append(compare_policies(episodes, first, second, rng))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
