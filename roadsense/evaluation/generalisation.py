"""How a policy generalises: over splits, over what was varied, and over worse radios."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from roadsense.evaluation.plans import HELD_OUT, LATENCY, LOSS, SPLITS
from roadsense.evaluation.summary import complete, unsafe, with_ends
from roadsense.utils.statistics import Interval, binomial_interval

LEADER_BRAKING = "leader_braking_mps2"
"""Deceleration of the ego's leader, in hazards that it causes by braking."""
FACTORS = {
    "base": "base road",
    "factor_density": "traffic density",
    "factor_sigma": "drivers' imperfection",
    "factor_speed_mean": "drivers' speed",
    "factor_convoy_size": "cars of the convoy",
    "factor_friction": "friction of the road",
    "factor_radio": "radio of the scenario",
    "hazard_kind": "kind of hazard",
    LEADER_BRAKING: "leader's deceleration [m/s2]",
    "driver": "the ego's driver",
}
N_BANDS = 3
MOST_VALUES = 5
"""A factor with at most this many values is not divided into bands."""
WHOLE_BANDS = (LEADER_BRAKING,)
"""Factors whose bands have whole numbers as ends."""


def count_by(episodes: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Returns collisions and unsafe episodes in each group, with exact 95 % intervals and counts.

    Args:
        episodes: table of episodes; failed ones are left out.
        columns: columns whose values define a group.
    """
    rows = []
    good = complete(episodes)
    for key, group in good.groupby(list(columns), sort=False, dropna=False):
        n_collisions, n_unsafe = int(group["collision"].sum()), int(unsafe(group).sum())
        rows.append(
            {
                **dict(zip(columns, key, strict=True)),
                "episodes": len(group),
                "collisions": n_collisions,
                **with_ends("collision_rate", binomial_interval(n_collisions, len(group))),
                "unsafe": n_unsafe,
                **with_ends("unsafe_rate", binomial_interval(n_unsafe, len(group))),
            }
        )
    return pd.DataFrame(rows)


def by_factor(episodes: pd.DataFrame, policies: Sequence[str]) -> pd.DataFrame:
    """Returns each policy's counts by each factor that varies: a row for each factor, value or band, and policy.

    Args:
        episodes: table of episodes of one part of an evaluation.
        policies: names of the policies.
    """
    tables = []
    chosen = episodes[episodes["policy"].isin(policies)]
    follows_closer = chosen["driver_time_headway_s"] < chosen["driver_reaction_time_s"]
    leader_brakes = chosen["hazard"] & (chosen["hazard_kind"] == "brake") & (chosen["hazard_car"] == 0)
    chosen = chosen.assign(
        driver=np.where(follows_closer, "tailgater", "attentive"),
        leader_braking_mps2=chosen["hazard_deceleration_mps2"].where(leader_brakes),
    )
    for name, label in FACTORS.items():
        values = band(chosen[name], whole=name in WHOLE_BANDS)
        if values.nunique() > 1:
            table = count_by(chosen.assign(value=values)[values != ""], ["policy", "value"])
            tables.append(table.assign(factor=name, label=label))
    if not tables:
        return pd.DataFrame(columns=["factor", "label", "value", "policy", "episodes", "collisions"])
    return pd.concat(tables, ignore_index=True)


def band(values: pd.Series, whole: bool = False) -> pd.Series:
    """Returns each value as text: itself if there are few values, else its band.

    Args:
        values: values of a factor, one an episode; a missing one becomes "".
        whole: whether the bands end at all whole numbers; if False, they hold equal numbers of values.
    """
    if not pd.api.types.is_numeric_dtype(values):
        return values.astype(str)
    known = values.dropna()
    if known.nunique() <= MOST_VALUES and not (whole and len(known)):
        return values.map(lambda value: "" if np.isnan(value) else f"{value:g}")
    shares = np.linspace(0, 1, N_BANDS + 1)
    ends = np.arange(np.floor(known.min()), np.ceil(known.max()) + 1) if whole else np.quantile(known.unique(), shares)
    edges: list[float] = np.unique(ends).tolist()
    names = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    return pd.cut(values, edges, labels=names, include_lowest=True).astype(object).fillna("").astype(str)


def by_split(episodes: pd.DataFrame) -> pd.DataFrame:
    """Returns each policy's counts on held-out scenarios and on the dataset's other splits."""
    chosen = episodes[episodes["part"].isin([HELD_OUT, *SPLITS])]
    policies = set(chosen.loc[chosen["part"] != HELD_OUT, "policy"])
    return count_by(chosen[chosen["policy"].isin(policies)], ["part", "policy"])


def generalisation_gap(splits: pd.DataFrame, policy: str, split: str = "train") -> Interval | None:
    """Returns a policy's collision rate on held-out scenarios minus that on another split; None if one is missing.

    The episodes are not the same, so the interval is Newcombe's for two independent rates ("Interval estimation for
    the difference between independent proportions", 1998, method 10): from the score intervals of both.
    """
    if splits.empty:
        return None
    own = splits[splits["policy"] == policy].set_index("part")
    if HELD_OUT not in own.index or split not in own.index:
        return None
    counts = own.loc[[HELD_OUT, split], ["collisions", "episodes"]].astype(int).to_numpy().ravel().tolist()
    return rate_difference(*counts)


def rate_difference(n_first: int, n_of_first: int, n_second: int, n_of_second: int) -> Interval:
    """Returns the difference of two independent rates with Newcombe's 95 % interval, see `generalisation_gap`."""
    first, second = _wilson(n_first, n_of_first), _wilson(n_second, n_of_second)
    difference = first.value - second.value
    below = np.hypot(first.value - first.low, second.high - second.value)
    above = np.hypot(first.high - first.value, second.value - second.low)
    return Interval(difference, float(difference - below), float(difference + above))


def _wilson(n_events: int, n_trials: int) -> Interval:
    found = binomtest(n_events, n_trials).proportion_ci(0.95, method="wilson")
    return Interval(n_events / n_trials, float(found.low), float(found.high))


def degradation(episodes: pd.DataFrame) -> pd.DataFrame:
    """Returns each policy's counts at each loss and latency of the radio."""
    chosen = episodes[episodes["part"].isin([LOSS, LATENCY])]
    return count_by(chosen, ["part", "curve_value", "policy"]) if len(chosen) else pd.DataFrame()
