"""Tables of an evaluation for notebooks: few columns with readable names, coloured by their result."""

import math
import re
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler
from pandas.io.formats.style_render import CSSDict

from roadsense.evaluation.policies import RULES, label_policy
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.verdicts import BAD, GOOD, OPEN
from roadsense.pictures.style import BLUE

MARK_COLOURS = {GOOD: "#1a7f4b", BAD: "#c0392b", OPEN: "#8a6d00"}
"""Background of a verdict's mark; white text on each has a contrast of 4.5 or more."""
PERCENT, PLAIN = "{:.1%}", "{:z.2f}"
LEFT: list[CSSDict] = [{"selector": "td, th", "props": "text-align: left"}]
IMITATED = "confirmed_rule"
"""The rule that a training begins with."""
INTERVAL = re.compile(r" \(.*\)$")
"""What may stand in a line of its own below a figure."""
COLUMNS: Mapping[str, tuple[str, str]] = {
    "collision_rate": ("collisions", PERCENT),
    "unsafe_rate": ("unsafe", PERCENT),
    "calm_braking": ("speed taken off in calm time [m/s per min]", PLAIN),
    "min_ttc_s": ("smallest TTC [s]", PLAIN),
    "assist_reaction_s": ("reaction [s]", PLAIN),
    "time_lost_s": ("time lost [s]", PLAIN),
}
"""Heading and format of the figures shown for a policy."""


CONDITION_COLUMNS: Mapping[str, tuple[str, str]] = {
    "collision_rate": ("collisions", PERCENT),
    "false_braking_share": ("calm time braked with 1 m/s2", PERCENT),
    "false_brakings_per_h": ("onsets an hour", "{:.0f}"),
    "reaction_s": ("car's reaction [s]", PLAIN),
    "decoys_answered_rate": ("decoys answered", PERCENT),
}
"""Heading and format of the figures shown for a policy in a condition."""


def show_verdicts(evaluation: Evaluation) -> Styler:
    """Returns the verdicts, a coloured line for each sentence, the most important first."""
    table = pd.DataFrame([(each.mark, each.text) for each in evaluation.verdicts], columns=["mark", "sentence"])
    wide: list[CSSDict] = [{"selector": "td", "props": "max-width: 60em"}]
    styler = table.style.hide(axis="index").set_table_styles(LEFT + wide)
    return styler.apply(lambda marks: [_colour(str(mark)) for mark in marks], subset=["mark"])


def tabulate_policies(summary: pd.DataFrame) -> pd.DataFrame:
    """Returns the main figures of each policy as texts with their 95 % intervals.

    Args:
        summary: table of `roadsense.evaluation.summary.summarise`.
    """
    table = pd.DataFrame({"policy": summary["policy"].map(label_policy), "episodes": summary["episodes"].map(str)})
    for name, (heading, form) in COLUMNS.items():
        if name in summary:
            table[heading] = [_with_interval(row, name, form) for row in summary.to_dict("records")]
    return table


def tabulate_conditions(conditions: pd.DataFrame) -> pd.DataFrame:
    """Returns what each policy does in each condition as texts with their 95 % intervals.

    Args:
        conditions: table of `roadsense.evaluation.conditions.tabulate_conditions`.
    """
    table = pd.DataFrame({"condition": conditions["label"], "policy": conditions["policy"].map(label_policy)})
    table["episodes"] = conditions["episodes"].map(str)
    for name, (heading, form) in CONDITION_COLUMNS.items():
        table[heading] = [_with_interval(row, name, form) for row in conditions.to_dict("records")]
    return table


def tabulate_pairs(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Returns how often the policy and each other one collide on the same episodes, as texts.

    Args:
        comparisons: table of `roadsense.evaluation.comparison.compare_all`.
    """
    collisions = comparisons[comparisons["figure"] == "collision"]
    table = collisions.rename(columns={"low": "difference_low", "high": "difference_high"})
    headings = {"first_mean": "the policy's collisions", "second_mean": "the other's", "difference": "difference"}
    return pd.DataFrame(
        [
            {"beside": label_policy(str(row["second"]))}
            | {heading: _with_interval(row, name, PERCENT) for name, heading in headings.items()}
            | {name: f"{row[name]:.0f}" for name in ("better", "worse", "equal")}
            | {"the policy is": row["verdict"]}
            for row in table.to_dict("records")
        ]
    )


def show_conditions(evaluation: Evaluation) -> Styler:
    """Returns what the policies, the driver alone and the rule that trainings imitate do in each condition.

    A bar shows needless braking. If no such episodes were driven, it says so.
    """
    if evaluation.conditions.empty:
        return _say_nothing_was_driven()
    shown = evaluation.conditions[~evaluation.conditions["policy"].isin(set(RULES) - {IMITATED})]
    shares = shown["false_braking_share"].fillna(0.0)
    styler = _fit_page(tabulate_conditions(shown))
    return styler.apply(lambda _: [_bar(share) for share in shares], subset=["calm time braked with 1 m/s2"])


def show_policies(evaluation: Evaluation) -> Styler:
    """Returns the main figures of each policy with their 95 % intervals, and a bar for the collision rate."""
    rates = evaluation.summary["collision_rate"].fillna(0.0)
    styler = _fit_page(tabulate_policies(evaluation.summary))
    return styler.apply(lambda _: [_bar(rate) for rate in rates], subset=["collisions"])


def show_splits(evaluation: Evaluation) -> Styler:
    """Returns collisions on held-out scenarios and on the other splits of the dataset, or that none were driven."""
    return _show_rates(evaluation.splits, {"part": "scenarios"})


def show_checks(evaluation: Evaluation) -> Styler:
    """Returns collisions with SUMO's safety checks on, and the number of steps in which they intervened."""
    return _show_rates(evaluation.checks_on, {}, {"sumo_interventions": "SUMO interventions per episode"})


def tabulate_rates(rows: pd.DataFrame, first: Mapping[str, str], last: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Returns episodes and collisions of each row as texts.

    Args:
        rows: table with `policy`, `episodes`, and `collision_rate` with its interval.
        first: headings of further text columns before these, by name.
        last: headings of further number columns after these, by name.
    """
    table = pd.DataFrame({heading: rows[name].str.replace("_", " ") for name, heading in first.items()})
    table["policy"] = rows["policy"].map(label_policy)
    table["episodes"] = rows["episodes"].map(str)
    table["collisions"] = [_with_interval(row, "collision_rate", PERCENT) for row in rows.to_dict("records")]
    for name, heading in (last or {}).items():
        table[heading] = rows[name].map(PLAIN.format)
    return table


def _say_nothing_was_driven() -> Styler:
    said = pd.DataFrame({"": ["No such episodes were driven."]})
    return said.style.hide(axis="index").hide(axis="columns").set_table_styles(LEFT)


def _show_rates(rows: pd.DataFrame, first: Mapping[str, str], last: Mapping[str, str] | None = None) -> Styler:
    if rows.empty:
        return _say_nothing_was_driven()
    rates = rows["collision_rate"].fillna(0.0)
    styler = tabulate_rates(rows, first, last).style.hide(axis="index").set_table_styles(LEFT)
    return styler.apply(lambda _: [_bar(rate) for rate in rates], subset=["collisions"])


def _fit_page(table: pd.DataFrame) -> Styler:
    """Returns the table, in which a figure and its interval may stand in two lines, so that it needs no scrolling."""
    return table.style.hide(axis="index").set_table_styles(LEFT).format(_keep_together)


def _keep_together(value: object) -> str:
    text = str(value)
    figure = INTERVAL.sub("", text)
    parts = (figure, text.removeprefix(figure).strip())
    return " ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts) if parts[1] else text


def _with_interval(row: Mapping[Hashable, Any], name: str, form: str) -> str:
    value, low, high = row[name], row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
    if math.isnan(value):
        return "none"
    factor, number, unit = (100.0, "{:z.1f}", " %") if form == PERCENT else (1.0, form, "")
    interval = "" if math.isnan(low) else f" ({number.format(factor * low)} to {number.format(factor * high)})"
    return number.format(factor * value) + unit + interval


def _bar(share: float) -> str:
    return f"background: linear-gradient(90deg, {BLUE}44 {share:.1%}, transparent {share:.1%})"


def _colour(mark: str) -> str:
    return f"background: {MARK_COLOURS[mark]}; color: white; font-weight: bold; text-align: center"
