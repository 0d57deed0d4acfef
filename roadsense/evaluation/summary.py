"""Summary of an evaluation's episodes: a row of figures for each policy. No rate without its interval."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from roadsense.episodes.score import CRITICAL_TTC_S, SCORED, is_unsafe, score_episodes
from roadsense.evaluation.policies import order_policies, record_of
from roadsense.evaluation.sample_size import upper_bound
from roadsense.utils.statistics import (
    Interval,
    binomial_interval,
    bootstrap_over_groups,
    interquartile_mean,
    plain_mean,
    ratio_over_groups,
)
from roadsense.utils.tables import markdown_table

TTC_CAP_S = 10.0
"""Larger times to collision mean no danger and count as this one."""
ANSWER_WITHIN_S = 5.0
"""Braking later than this after a hazard's onset is no answer to it."""

HEADINGS: Mapping[str, tuple[str, str]] = {
    "label": ("condition", "{}"),
    "policy": ("policy", "{}"),
    "episodes": ("episodes", "{:.0f}"),
    "collisions": ("collisions", "{:.0f}"),
    "collision_rate": ("rate", "{:.1%}"),
    "collision_rate_low": ("from", "{:.1%}"),
    "collision_rate_high": ("to", "{:.1%}"),
    "collision_rate_bound": ("at most (one-sided)", "{:.1%}"),
    "impact_speed_mps": ("impact [m/s]", "{:.1f}"),
    "unsafe_rate": ("unsafe", "{:.1%}"),
    "unsafe_rate_low": ("from", "{:.1%}"),
    "unsafe_rate_high": ("to", "{:.1%}"),
    "calm_unsafe_rate": ("unsafe without a hazard", "{:.1%}"),
    "decoys": ("decoys", "{:.0f}"),
    "decoys_answered_rate": ("answered", "{:.0%}"),
    "hazards": ("hazards", "{:.0f}"),
    "missed": ("missed", "{:.0f}"),
    "assist_reaction_s": ("assist reaction [s]", "{:.2f}"),
    "reaction_s": ("car's reaction [s]", "{:.2f}"),
    "time_lost_s": ("time lost [s]", "{:.2f}"),
    "time_lost_s_low": ("from", "{:.2f}"),
    "time_lost_s_high": ("to", "{:.2f}"),
    "calm_braking": ("speed taken off in calm time [m/s per min]", "{:.2f}"),
    "calm_braking_low": ("from", "{:.2f}"),
    "calm_braking_high": ("to", "{:.2f}"),
    "excess_braking_mps": ("braking beyond need [m/s]", "{:.1f}"),
    "false_braking_share": ("calm time braked with 1 m/s2", "{:.2%}"),
    "false_brakings_per_h": ("onsets an hour", "{:.1f}"),
    "stops_braked_share": ("stops braked", "{:.0%}"),
    "min_ttc_s": ("min TTC [s]", "{:.2f}"),
    "follower_min_ttc_s": ("behind: min TTC [s]", "{:.2f}"),
    "max_jerk_mps3": ("max jerk [m/s3]", "{:.1f}"),
    "score": ("score", "{:.3f}"),
    "kind": ("", "{}"),
}


def summarise(episodes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Returns a row of figures for each policy.

    Rates are over all episodes, with or without a hazard; `hazard_collision_rate` is over those with a forced hazard.
    Episodes in which SUMO failed are counted in `failed` and left out of the rest. Each figure `x` has its 95 %
    interval in `x_low` and `x_high`: exact for rates, a bootstrap over scenarios for interquartile means and for rates
    per hour.

    Args:
        episodes: table of episodes of one part of an evaluation.
        rng: random generator of the bootstrap.
    """
    rows = []
    for policy in order_policies(episodes["policy"]):
        own = episodes[episodes["policy"] == policy]
        good = complete(own)
        row: dict[str, Any] = {"policy": policy, "kind": record_of(policy).kind}
        row |= {"episodes": len(good), "failed": len(own) - len(good), "scenarios": good["config_path"].nunique()}
        row |= _rates(good) | _reactions(good, rng) | _calm(good, rng) | _ride(good, rng)
        rows.append(row)
    return pd.DataFrame(rows)


def complete(episodes: pd.DataFrame) -> pd.DataFrame:
    """Returns the episodes in which SUMO did not fail."""
    return episodes[episodes["error"] == ""]


def write_markdown(summary: pd.DataFrame) -> str:
    """Returns the summary as a Markdown table with readable headings, and what they mean."""
    return f"{write_table(summary)}\n\n{EXPLANATION}\n"


def write_table(summary: pd.DataFrame) -> str:
    """Returns the summary as a Markdown table with readable headings."""
    return markdown_table(*format_rows(summary))


EXPLANATION = (
    "Rate: episodes with a collision, with the exact two-sided 95 % interval; the one-sided bound is the one a claim "
    f"'below x %' needs. Unsafe: a collision, or a time to collision below {CRITICAL_TTC_S:g} s; without a hazard also "
    "of the car behind with the ego. Answered: decoys, which are no hazard, that the assist braked for. Missed: "
    f"hazards the assist did not answer within {ANSWER_WITHIN_S:g} s. Time lost: mean per episode against the driver "
    "alone over the same distance. Calm time: no hazard is active and comfortable braking suffices. Speed taken off: "
    "how much less speed the car gains, or how much more it loses, than its driver asks for, however gently the "
    "assist brakes. Braking beyond need: speed braked off after a hazard's onset less what the perfect driver brakes "
    "off. Stops braked: ordinary stops with needless braking before them. Reactions, times to collision and jerk: "
    "interquartile means over episodes. Intervals of means: 95 %, by a bootstrap over scenarios. Score: lower end of "
    "the share of safe episodes less the mean needless braking in m/s2, see `roadsense.episodes.score`."
)


def format_rows(summary: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Returns readable headings and lines of the summary."""
    columns = [name for name in HEADINGS if name in summary]
    lines = [
        [_format(HEADINGS[str(name)][1], value) for name, value in row.items()]
        for row in summary[columns].to_dict("records")
    ]
    return [HEADINGS[name][0] for name in columns], lines


def with_ends(name: str, interval: Interval) -> dict[str, float]:
    """Returns an estimate and its interval as figures of a row."""
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}


def unsafe(rows: pd.DataFrame) -> pd.Series:
    """Returns which episodes of a table were unsafe, see `is_unsafe`."""
    return pd.Series(is_unsafe(rows["collision"], rows["min_ttc_s"]), rows.index)


def is_calm(rows: pd.DataFrame) -> pd.Series:
    """Returns which episodes of a table have no hazard, neither planned nor met."""
    return ~rows["hazard_forced"].astype(bool) & ~rows["hazard"].astype(bool)


def calm_unsafe(rows: pd.DataFrame) -> pd.Series:
    """Returns which episodes were unsafe, the car behind included: a collision, or a time to collision below 1.5 s."""
    return unsafe(rows) | (rows["follower_min_ttc_s"] < CRITICAL_TTC_S)


def has_decoy(rows: pd.DataFrame) -> pd.Series:
    """Returns in which episodes a decoy braked."""
    return ~rows["decoy_kind"].isin(["", "none"])


def _rates(rows: pd.DataFrame) -> dict[str, float]:
    collided, forced = rows["collision"].astype(bool), rows["hazard_forced"].astype(bool)
    struck, hazards = rows["was_struck"].astype(bool), rows["hazard"].astype(bool)
    missed = hazards & rows["assist_reaction_time_s"].isna()
    calm, decoys = is_calm(rows), has_decoy(rows)
    n_calm_unsafe = int((calm_unsafe(rows) & calm).sum())
    n_answered = int((rows["decoy_answered"].astype(bool) & decoys).sum())
    stops, braked = int(rows["ordinary_stops"].sum()), int(rows["ordinary_stops_braked"].sum())
    return {
        "collisions": int(collided.sum()),
        **with_ends("collision_rate", binomial_interval(int(collided.sum()), len(rows))),
        "collision_rate_bound": upper_bound(int(collided.sum()), len(rows)),
        **with_ends("hazard_collision_rate", binomial_interval(int((collided & forced).sum()), int(forced.sum()))),
        "unsafe": int(unsafe(rows).sum()),
        **with_ends("unsafe_rate", binomial_interval(int(unsafe(rows).sum()), len(rows))),
        "calm_episodes": int(calm.sum()),
        "calm_unsafe": n_calm_unsafe,
        **with_ends("calm_unsafe_rate", binomial_interval(n_calm_unsafe, int(calm.sum()))),
        "decoys": int(decoys.sum()),
        "decoys_answered": n_answered,
        **with_ends("decoys_answered_rate", binomial_interval(n_answered, int(decoys.sum()))),
        "was_struck": int(struck.sum()),
        "impact_speed_mps": rows.loc[collided & ~struck, "impact_speed_mps"].mean(),
        "hazards": int(hazards.sum()),
        "hazards_safe": int((hazards & ~unsafe(rows)).sum()),
        "missed": int(missed.sum()),
        **with_ends("missed_rate", binomial_interval(int(missed.sum()), int(hazards.sum()))),
        "ordinary_stops": stops,
        **with_ends("stops_braked_share", binomial_interval(braked, stops)),
    }


def _reactions(rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    """Returns reaction times; a hazard without an answer counts as answered after `ANSWER_WITHIN_S`."""
    hazards = rows[rows["hazard"].astype(bool)]
    figures: dict[str, float] = {}
    for name in ("assist_reaction", "reaction"):
        figures |= _middle(f"{name}_s", answer_times_s(hazards[f"{name}_time_s"]), hazards, rng)
    return figures


def answer_times_s(times_s: pd.Series) -> pd.Series:
    """Returns reaction times; missing ones become `ANSWER_WITHIN_S`."""
    return times_s.astype(float).fillna(ANSWER_WITHIN_S).clip(upper=ANSWER_WITHIN_S)


def _calm(rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    calm_h = float(rows["calm_s"].sum()) / 3600
    groups, hours = rows["config_path"], rows["calm_s"] / 3600
    return {
        "calm_h": calm_h,
        "false_brakings": int(rows["false_brakings"].sum()),
        **with_ends("false_brakings_per_h", ratio_over_groups(rows["false_brakings"], hours, groups, rng)),
        **with_ends("false_braking_share", ratio_over_groups(rows["false_braking_s"], rows["calm_s"], groups, rng)),
        **with_ends("calm_braking", ratio_over_groups(60 * rows["calm_speed_loss_mps"], rows["calm_s"], groups, rng)),
        "score": score_episodes({name: rows[name] for name in SCORED}).value if len(rows) else math.nan,
    }


def _ride(rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    return {
        **_middle("min_ttc_s", rows["min_ttc_s"].clip(upper=TTC_CAP_S), rows, rng),
        **_middle("min_time_headway_s", rows["min_time_headway_s"].clip(upper=TTC_CAP_S), rows, rng),
        **_middle("max_drac_mps2", rows["max_drac_mps2"], rows, rng),
        **_middle("follower_min_ttc_s", rows["follower_min_ttc_s"].clip(upper=TTC_CAP_S), rows, rng),
        **_middle("max_jerk_mps3", rows["max_jerk_mps3"], rows, rng),
        "rms_jerk_mps3": interquartile_mean(rows["rms_jerk_mps3"]),
        **_mean("time_lost_s", rows, rng),
        **_mean("excess_braking_mps", rows, rng),
        "distance_m": rows["distance_m"].mean(),
        "messages_lost_share": _share(rows["messages_lost"].sum(), rows["messages_heard"].sum()),
        "sumo_interventions": rows["sumo_interventions"].mean(),
    }


def _middle(name: str, values: pd.Series, rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    known = values.notna()
    return with_ends(name, bootstrap_over_groups(values[known], rows.loc[known.index[known], "config_path"], rng))


def _mean(name: str, rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    known = rows[rows[name].notna()]
    return with_ends(name, bootstrap_over_groups(known[name], known["config_path"], rng, plain_mean))


def _share(part: float, rest: float) -> float:
    return part / (part + rest) if part + rest else math.nan


def _format(form: str, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "-"
    return form.format(value)
