"""What the episodes of an evaluation add up to: a row per policy, and which claims hold."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from roadsense.episodes import BOUND, NULL_POLICIES, POLICIES
from roadsense.statistics import binomial_interval, bootstrap_over_groups, compare_pairs, interquartile_mean

ANSWER_WITHIN_S = 5.0
"""Braking later than this after a hazard's onset is no answer to it."""
TTC_CAP_S = 10.0
"""Larger times to collision say nothing of danger and count as this one."""
FALSE_BRAKING_MARGIN = 0.01
"""A null policy is no match if it brakes for nothing in this much more of the calm time."""
SIGNIFICANCE = 0.05
NOT_ITS_DOING = "not the policy's doing"
FIGURES = {"collision": "collisions", "reaction_time_s": "reaction time", "danger_ttc_s": "time to collision"}
"""Figures that claims are made of; the lower the better (of the time to collision the negative is taken)."""

HEADINGS: Mapping[str, tuple[str, str]] = {
    "policy": ("policy", "{}"),
    "episodes": ("episodes", "{}"),
    "collisions": ("collisions", "{}"),
    "collision_rate": ("rate", "{:.1%}"),
    "collision_rate_low": ("from", "{:.1%}"),
    "collision_rate_high": ("to", "{:.1%}"),
    "impact_speed_mps": ("impact [m/s]", "{:.1f}"),
    "hazards": ("hazards", "{}"),
    "assist_answered": ("assist answered", "{:.0%}"),
    "assist_reaction_s": ("assist reaction [s]", "{:.2f}"),
    "reaction_s": ("car's reaction [s]", "{:.2f}"),
    "false_brakings_per_h": ("false brakings per h", "{:.1f}"),
    "false_braking_share": ("of calm time", "{:.2%}"),
    "min_ttc_s": ("min TTC [s]", "{:.2f}"),
    "max_jerk_mps3": ("max jerk [m/s3]", "{:.1f}"),
    "distance_m": ("distance [m]", "{:.0f}"),
    "claim": ("claim", "{}"),
}


def summarise(episodes: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Returns a row of figures for each policy.

    Rates are of all episodes, those without a hazard included; `hazard_collision_rate` is of those with one forced.
    Episodes in which SUMO failed are counted in `failed` and left out of the rest.

    Args:
        episodes: as `evaluate` makes them.
        rng: generator of the bootstrap.
    """
    claims = find_claims(episodes)
    rows = []
    for policy in _policies(episodes):
        own = episodes[episodes["policy"] == policy]
        good = _complete(own)
        row: dict[str, Any] = {"policy": policy, "episodes": len(good), "failed": len(own) - len(good)}
        row |= _collision_figures(good) | _reaction_figures(good) | _calm_figures(good) | _ride_figures(good, rng)
        rows.append({**row, "claim": _word_claim(policy, claims)})
    return pd.DataFrame(rows)


def find_claims(episodes: pd.DataFrame) -> pd.DataFrame:
    """Returns the paired comparison of each policy with each null policy, for each of `FIGURES`.

    A figure is the policy's doing if it is better than every null policy in it. A null policy that buys the figure
    with false braking is no match and is not counted.
    """
    episodes = _complete(episodes)
    episodes = episodes.assign(danger_ttc_s=-episodes["min_ttc_s"].clip(upper=TTC_CAP_S))
    shares = {str(policy): _calm_figures(own)["false_braking_share"] for policy, own in episodes.groupby("policy")}
    rows = []
    for policy in [name for name in shares if name not in (*NULL_POLICIES, BOUND)]:
        for null in [name for name in NULL_POLICIES if name in shares]:
            matches = not shares[null] > shares[policy] + FALSE_BRAKING_MARGIN
            for figure in FIGURES:
                row = _compare(episodes, figure, policy, null)
                verdict = "better" if _is_better(row) else NOT_ITS_DOING
                rows.append({**row, "verdict": verdict if matches else "no match: brakes for nothing"})
    columns = ["policy", "figure", "null_policy", "better", "worse", "equal", "p_value", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def write_markdown(summary: pd.DataFrame) -> str:
    """Returns the summary as a Markdown table with readable headings, and what they mean."""
    columns = [name for name in HEADINGS if name in summary]
    lines = [[HEADINGS[name][0] for name in columns], ["---"] * len(columns)]
    for row in summary[columns].to_dict("records"):
        lines.append([_format(HEADINGS[str(name)][1], value) for name, value in row.items()])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return (
        f"{table}\n\n"
        "Rate: exact 95 % interval over all episodes. Reactions: median from the hazard's onset, `never` if most "
        f"hazards were not answered within {ANSWER_WITHIN_S:g} s. Calm time: no hazard is active and comfortable "
        "braking suffices. Time to collision and jerk: interquartile means over episodes. Claims: exact paired tests "
        f"on the same episodes, p < {SIGNIFICANCE:g}; a null policy that brakes for nothing is no match.\n"
    )


def _policies(episodes: pd.DataFrame) -> list[str]:
    present = list(dict.fromkeys(episodes["policy"]))
    return sorted(present, key=lambda name: POLICIES.index(name) if name in POLICIES else len(POLICIES))


def _complete(episodes: pd.DataFrame) -> pd.DataFrame:
    return episodes[episodes["error"] == ""]


def _collision_figures(rows: pd.DataFrame) -> dict[str, float]:
    collided = rows["collision"].astype(bool)
    forced = rows["hazard_forced"].astype(bool)
    rate = binomial_interval(int(collided.sum()), len(rows))
    with_hazard = binomial_interval(int((collided & forced).sum()), int(forced.sum()))
    struck = rows["struck_from_behind"].astype(bool)
    return {
        "collisions": int(collided.sum()),
        "collision_rate": rate.value,
        "collision_rate_low": rate.low,
        "collision_rate_high": rate.high,
        "hazard_collision_rate": with_hazard.value,
        "hazard_collision_rate_low": with_hazard.low,
        "hazard_collision_rate_high": with_hazard.high,
        "struck_from_behind": int(struck.sum()),
        "impact_speed_mps": rows.loc[collided & ~struck, "impact_speed_mps"].mean(),
    }


def _reaction_figures(rows: pd.DataFrame) -> dict[str, float]:
    hazards = rows[rows["hazard"].astype(bool)]
    figures: dict[str, float] = {"hazards": len(hazards)}
    for name in ("assist_reaction", "reaction"):
        times_s = _answer_times_s(hazards[f"{name}_time_s"])
        figures[name.replace("reaction", "answered")] = np.isfinite(times_s).mean() if len(hazards) else math.nan
        figures[f"{name}_s"] = times_s.median()
    return figures


def _answer_times_s(times_s: pd.Series) -> pd.Series:
    return times_s.astype(float).where(times_s <= ANSWER_WITHIN_S, math.inf)


def _calm_figures(rows: pd.DataFrame) -> dict[str, float]:
    calm_s = float(rows["calm_s"].sum())
    return {
        "calm_h": calm_s / 3600,
        "false_brakings_per_h": rows["false_brakings"].sum() / calm_s * 3600 if calm_s else math.nan,
        "false_braking_share": rows["false_braking_s"].sum() / calm_s if calm_s else math.nan,
    }


def _ride_figures(rows: pd.DataFrame, rng: np.random.Generator) -> dict[str, float]:
    ttc = bootstrap_over_groups(rows["min_ttc_s"].clip(upper=TTC_CAP_S), rows["scenario"], rng)
    return {
        "min_ttc_s": ttc.value,
        "min_ttc_low_s": ttc.low,
        "min_ttc_high_s": ttc.high,
        "max_jerk_mps3": interquartile_mean(rows["max_jerk_mps3"]),
        "rms_jerk_mps3": interquartile_mean(rows["rms_jerk_mps3"]),
        "distance_m": rows["distance_m"].mean(),
        "sumo_interventions": rows["sumo_interventions"].mean(),
    }


def _compare(episodes: pd.DataFrame, figure: str, policy: str, null: str) -> dict[str, Any]:
    if figure == "reaction_time_s":
        episodes = episodes[episodes["hazard"].astype(bool)]
        episodes = episodes.assign(reaction_time_s=_answer_times_s(episodes["reaction_time_s"]))
    table = episodes.pivot(index=["config_path", "seed"], columns="policy", values=figure)
    pairs = table.reindex(columns=[policy, null]).dropna().astype(float)
    found = compare_pairs(pairs[policy], pairs[null])
    return {
        "policy": policy,
        "figure": FIGURES[figure],
        "null_policy": null,
        "better": found.n_better,
        "worse": found.n_worse,
        "equal": found.n_equal,
        "p_value": found.p_value,
    }


def _is_better(row: Mapping[str, Any]) -> bool:
    return row["better"] > row["worse"] and row["p_value"] < SIGNIFICANCE


def _word_claim(policy: str, claims: pd.DataFrame) -> str:
    if policy in NULL_POLICIES or policy == BOUND:
        return "upper bound" if policy == BOUND else "null policy"
    own = claims[(claims["policy"] == policy) & (claims["figure"] == FIGURES["collision"])]
    named = {verdict: ", ".join(rows["null_policy"]) for verdict, rows in own.groupby("verdict")}
    if NOT_ITS_DOING in named:
        return f"{NOT_ITS_DOING}: as good as {named[NOT_ITS_DOING]}"
    return f"fewer collisions than {named['better']}" if "better" in named else "no null policy to compare with"


def _format(form: str, value: Any) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "-" if math.isnan(value) else "never"
    return form.format(value)
