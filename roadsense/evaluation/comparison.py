"""Compares two policies on the same episodes: which is better in each figure, and whether the episodes show it.

Decision rule: a difference is shown if the two-sided 95 % interval excludes 0 and the exact sign test agrees, at
5 % after Holm's correction over all policies that are compared in the same figure (Holm, "A simple sequentially
rejective multiple test procedure", 1979).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from roadsense.errors import InputError
from roadsense.evaluation.sample_size import pairs_for_difference
from roadsense.evaluation.summary import (
    TTC_CAP_S,
    answer_times_s,
    calm_unsafe,
    complete,
    has_decoy,
    is_calm,
    unsafe,
)
from roadsense.utils.statistics import (
    bootstrap_over_groups,
    compare_pairs,
    paired_rate_difference,
    plain_mean,
    probability_of_improvement,
    ratio_difference_over_groups,
)

SAME_EPISODE = ("part", "condition", "curve_value", "scenario", "seed", "sumo_seed", "hazard_forced", "sumo_checks")
"""Rows with equal values here are the same episode: same traffic, driver, radio draws and planned hazard."""
BETTER, WORSE, NOTHING_SHOWN = "better", "worse", "no difference shown"
SIGNIFICANCE = 0.05


class NothingInCommonError(InputError):
    """Two policies have no episode in common."""


@dataclass(frozen=True)
class Figure:
    """A figure in which two policies are compared.

    Attributes:
        name: name of its column, see `figures_of`.
        label: readable name, with the unit.
        worse: words for a policy that is worse in it.
        better: words for a policy that is better in it.
        sign: 1 if less is better, -1 if more is better.
        is_rate: whether its value is yes or no in each episode.
        weight: name of the column whose values weigh the episodes, so that a mean is a ratio of sums; None: all alike.
    """

    name: str
    label: str
    worse: str
    better: str
    sign: int = 1
    is_rate: bool = False
    weight: str | None = None

    def format_pair(self, first: float, second: float) -> str:
        """Returns two values beside each other, with the label's unit; without a unit they are shares."""
        unit = self.label.partition(" [")[2].rstrip("]")
        return f"{first:.2f} against {second:.2f} {unit}" if unit else f"{first:.2%} against {second:.2%}"


FIGURES = (
    Figure("collision", "collisions", "collides more often", "collides less often", is_rate=True),
    Figure("unsafe", "unsafe episodes", "has more unsafe episodes", "has fewer unsafe episodes", is_rate=True),
    Figure(
        "calm_unsafe",
        "unsafe episodes without a hazard",
        "has more unsafe episodes without a hazard",
        "has fewer unsafe episodes without a hazard",
        is_rate=True,
    ),
    Figure("decoy_answered", "answered decoys", "answers more decoys", "answers fewer decoys", is_rate=True),
    Figure("missed_hazard", "missed hazards", "misses more hazards", "misses fewer hazards", is_rate=True),
    Figure("reaction_time_s", "car's reaction time [s]", "reacts later to hazards", "reacts sooner to hazards"),
    Figure("min_ttc_s", "smallest time to collision [s]", "comes nearer to collisions", "keeps more time", -1),
    Figure(
        "calm_braking",
        "speed taken off in calm time [m/s per minute]",
        "takes off more speed in calm time",
        "takes off less speed in calm time",
        weight="calm_s",
    ),
    Figure(
        "false_braking_share",
        "share of calm time braked with 1 m/s2",
        "brakes needlessly for a larger share of calm time",
        "brakes needlessly for a smaller share of calm time",
        weight="calm_s",
    ),
    Figure(
        "excess_braking_mps",
        "braking beyond the perfect driver's at a hazard [m/s]",
        "brakes more than hazards need",
        "brakes less beyond what hazards need",
    ),
    Figure("time_lost_s", "time lost [s]", "loses more time", "loses less time"),
    Figure("max_jerk_mps3", "largest jerk [m/s3]", "jerks harder", "jerks less hard"),
    Figure(
        "follower_min_ttc_s",
        "smallest time to collision of the car behind [s]",
        "brings the car behind nearer to a collision",
        "leaves more time to the car behind",
        -1,
    ),
)


def figures_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the values and weights of `FIGURES`, a row for each episode; NaN where an episode has no value."""
    hazard, calm_s = rows["hazard"].astype(bool), rows["calm_s"].where(rows["calm_s"] > 0)
    return pd.DataFrame(
        {
            "calm_s": rows["calm_s"],
            "collision": rows["collision"].astype(float),
            "unsafe": unsafe(rows).astype(float),
            "calm_unsafe": calm_unsafe(rows).astype(float).where(is_calm(rows)),
            "decoy_answered": rows["decoy_answered"].astype(float).where(has_decoy(rows)),
            "missed_hazard": rows["assist_reaction_time_s"].isna().astype(float).where(hazard),
            # A hazard without an answer counts as the slowest answer.
            "reaction_time_s": answer_times_s(rows["reaction_time_s"]).where(hazard),
            "min_ttc_s": rows["min_ttc_s"].clip(upper=TTC_CAP_S),
            "calm_braking": 60 * rows["calm_speed_loss_mps"] / calm_s,
            "false_braking_share": rows["false_braking_s"] / calm_s,
            "excess_braking_mps": rows["excess_braking_mps"],
            "time_lost_s": rows["time_lost_s"],
            "max_jerk_mps3": rows["max_jerk_mps3"],
            "follower_min_ttc_s": rows["follower_min_ttc_s"].clip(upper=TTC_CAP_S),
        }
    )


def compare_policies(
    episodes: pd.DataFrame, first: str, second: str, rng: np.random.Generator, others: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Returns the paired comparison of two policies: a row of `compare_figure` for each of `FIGURES`.

    Args:
        episodes: table of episodes of one part of an evaluation.
        first: name of the policy of interest.
        second: name of the policy it is compared with.
        rng: random generator of the bootstrap.
        others: table with the second policy's episodes, if it is not `episodes`.

    Raises:
        NothingInCommonError: if the two have no episode in common.
    """
    return decide(pd.DataFrame(_compare_all_figures(episodes, first, second, rng, others)))


def _compare_all_figures(
    episodes: pd.DataFrame, first: str, second: str, rng: np.random.Generator, others: pd.DataFrame | None = None
) -> list[dict[str, Any]]:
    one, two = pair_episodes(episodes, first, second, others)
    values, groups = (figures_of(one), figures_of(two)), one["scenario"]
    return [
        {"first": first, "second": second, **compare_figure(figure, values[0], values[1], groups, rng)}
        for figure in FIGURES
    ]


def pair_episodes(
    episodes: pd.DataFrame,
    first: str,
    second: str,
    others: pd.DataFrame | None = None,
    same: Sequence[str] = SAME_EPISODE,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the episodes that both policies drove without a SUMO error, in the same order.

    Args:
        episodes: a table of episodes.
        first: name of the first policy.
        second: name of the second policy.
        others: table with the second policy's episodes, if it is not `episodes`.
        same: columns that agree for the same episode.

    Raises:
        NothingInCommonError: if there is none.
    """
    tables = []
    for name, table in ((first, episodes), (second, episodes if others is None else others)):
        tables.append(complete(table[table["policy"] == name]).set_index(list(same)))
    common = tables[0].index.intersection(tables[1].index)
    if not len(common):
        raise NothingInCommonError(
            f"Expected episodes that both {first!r} and {second!r} drove, found none in common. Evaluate both with the "
            "same dataset and seed."
        )
    one, two = (table.loc[common].reset_index() for table in tables)
    return one, two


def compare_figure(
    figure: Figure, one: pd.DataFrame, two: pd.DataFrame, groups: pd.Series, rng: np.random.Generator
) -> dict[str, Any]:
    """Returns the paired difference in a figure, with its two-sided 95 % interval.

    Args:
        figure: figure to compare.
        one: values of the first policy, a row for each episode.
        two: values of the second policy on the same episodes.
        groups: scenario of each episode.
        rng: random generator of the bootstrap.

    Returns:
        The means are over the pairs, weighted by the figure's weight. `difference` is first less second, with `low` and
        `high` (Tango's score interval for rates, else a bootstrap over scenarios); `better`, `worse` and `equal` count
        pairs; `p_value` is the exact sign test's (McNemar's for rates); `more_pairs` is how many more pairs would show
        the difference if it stays (missing if none would).
    """
    first, second = one[figure.name], two[figure.name]
    known = first.notna() & second.notna()
    first, second, groups = first[known], second[known], groups[known]
    found = compare_pairs(figure.sign * first, figure.sign * second)
    weights = [table.loc[known, figure.weight] if figure.weight else None for table in (one, two)]
    if figure.is_rate:
        interval = paired_rate_difference(int((first > second).sum()), int((first < second).sum()), len(first))
    elif weights[0] is not None and weights[1] is not None:
        ratios = (first * weights[0], weights[0]), (second * weights[1], weights[1])
        interval = ratio_difference_over_groups(*ratios, groups, rng)
    else:
        interval = bootstrap_over_groups(first - second, groups, rng, plain_mean)
    chance = probability_of_improvement(figure.sign * first, figure.sign * second, groups, rng)
    return {
        "figure": figure.name, "label": figure.label, "sign": figure.sign, "pairs": len(first),
        "first_mean": _mean(first, weights[0]), "second_mean": _mean(second, weights[1]),
        "difference": interval.value, "low": interval.low, "high": interval.high,
        "better": found.n_better, "worse": found.n_worse, "equal": found.n_equal, "p_value": found.p_value,
        "improvement": chance.value, "improvement_low": chance.low, "improvement_high": chance.high,
        "more_pairs": pairs_for_difference(found.n_better, found.n_worse, len(first)),
    }  # fmt: skip


def _mean(values: pd.Series, weights: pd.Series | None) -> float:
    return float(np.average(values, weights=weights)) if len(values) else math.nan


def decide(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Returns the comparisons with `p_adjusted`, corrected within each figure, and the `verdict` of each row.

    Args:
        comparisons: rows of `compare_figure`; those of one figure are one family of tests.
    """
    adjusted = comparisons.groupby("figure", sort=False)["p_value"].transform(lambda values: holm(values.to_numpy()))
    decided = comparisons.assign(p_adjusted=adjusted)
    return decided.assign(verdict=[_judge(row) for row in decided.to_dict("records")])


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Returns p values corrected by Holm's method, each at most 1."""
    values = np.asarray(p_values, float)
    order = np.argsort(values)
    corrected = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)).clip(max=1.0)
    result = np.empty_like(corrected)
    result[order] = corrected
    return result


def _judge(row: Mapping[Any, Any]) -> str:
    """Returns what a row shows: nothing unless interval and exact test agree."""
    low, high = sorted((row["sign"] * row["low"], row["sign"] * row["high"]))
    if row["p_adjusted"] >= SIGNIFICANCE:
        return NOTHING_SHOWN
    if low > 0 and row["worse"] > row["better"]:
        return WORSE
    return BETTER if high < 0 and row["better"] > row["worse"] else NOTHING_SHOWN


def compare_all(episodes: pd.DataFrame, first: str, seconds: Iterable[str], rng: np.random.Generator) -> pd.DataFrame:
    """Returns the comparisons of one policy with several others; policies without a common episode are left out."""
    rows: list[dict[str, Any]] = []
    for second in seconds:
        with suppress(NothingInCommonError):
            rows += _compare_all_figures(episodes, first, second, rng) if second != first else []
    return decide(pd.DataFrame(rows)) if rows else pd.DataFrame()
