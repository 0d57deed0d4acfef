"""Draws the figures of an evaluation with matplotlib."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.episodes.plan import POLICY
from roadsense.episodes.score import CRITICAL_TTC_S
from roadsense.evaluation.comparison import NOTHING_SHOWN
from roadsense.evaluation.plans import LATENCY, LOSS
from roadsense.evaluation.policies import (
    ANOTHER_RUN,
    JUDGED,
    NULL,
    RULE,
    UPPER_BOUND,
    label_policy,
    order_policies,
    record_of,
)
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.styled import show_checks, show_conditions, show_policies, show_splits, show_verdicts
from roadsense.pictures.style import (
    BLUE,
    GREY,
    INK,
    RED,
    TTC_AXIS_S,
    expect_columns,
    format_number,
    format_share,
    label_lines,
    new_figure,
    new_grid,
    save_figures,
    tell_count,
)
from roadsense.utils.statistics import binomial_interval

__all__ = [
    "draw_figures", "plot_collision_rates", "plot_degradation", "plot_differences", "plot_factors", "plot_min_ttc",
    "plot_outcomes_by_scenario", "plot_trade_off", "save_figures", "show_checks", "show_conditions", "show_policies",
    "show_splits", "show_verdicts",
]  # fmt: skip


def draw_figures(evaluation: Evaluation) -> dict[str, Figure]:
    """Returns every figure that has data, by name."""
    good = evaluation.held_out[evaluation.held_out["error"] == ""]
    if good.empty:
        return {}
    figures = {
        "collision_rate": plot_collision_rates(evaluation.summary[evaluation.summary["episodes"] > 0]),
        "trade_off": plot_trade_off(evaluation.summary),
        "minimum_ttc": plot_min_ttc(good),
        "outcomes_by_scenario": plot_outcomes_by_scenario(good),
    }
    if len(evaluation.comparisons):
        figures["differences"] = plot_differences(evaluation.comparisons)
    if len(evaluation.curves):
        figures["degradation"] = plot_degradation(evaluation.curves)
    if len(evaluation.factors):
        figures["factors"] = plot_factors(evaluation.factors)
    return figures


def plot_collision_rates(summary: pd.DataFrame) -> Figure:
    """Draws each policy's collision rate with its exact 95 % interval, the safest on top.

    Args:
        summary: table of `summarise`.
    """
    expect_columns(summary, ["policy", "episodes", "collisions", "collision_rate", "collision_rate_low"])
    rows = summary.sort_values(["collision_rate", "collision_rate_high"], ascending=False).reset_index(drop=True)
    figure, axes = new_figure(7.2, 1.3 + 0.42 * len(rows))
    for place, row in enumerate(rows.to_dict("records")):
        color = record_of(row["policy"]).colour
        low, high = row["collision_rate_low"], row["collision_rate_high"]
        axes.plot([low, high], [place, place], color=color, linewidth=2.5, solid_capstyle="butt")
        axes.plot(row["collision_rate"], place, "o", color=color, markersize=8, markeredgecolor="white")
        note = f"{row['collisions']:.0f} of {row['episodes']:.0f}"
        axes.annotate(note, (high, place), (6, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [label_policy(name) for name in rows["policy"]])
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlabel="episodes with a collision (exact 95 % interval)")
    top = max(float(rows["collision_rate_high"].max()), 0.02)
    axes.set_xlim(-0.01 * top, 1.14 * top)
    axes.xaxis.set_major_formatter(format_share)
    return figure


def plot_min_ttc(episodes: pd.DataFrame) -> Figure:
    """Draws the share of each policy's episodes whose smallest time to collision is below each value.

    Args:
        episodes: table of episodes of an evaluation.
    """
    expect_columns(episodes, ["policy", "min_ttc_s"])
    counted = tell_count(episodes.groupby("policy")["min_ttc_s"].count())
    figure, axes = new_figure(7.2, 4.2)
    axes.axvspan(0, CRITICAL_TTC_S, color=RED, alpha=0.07, linewidth=0)
    axes.axvline(CRITICAL_TTC_S, color=RED, linewidth=0.8)
    axes.text(CRITICAL_TTC_S - 0.06, 0.985, "critical", color=RED, fontsize=8, ha="right", va="top")
    for name in order_policies(episodes["policy"]):
        values = np.sort(episodes.loc[episodes["policy"] == name, "min_ttc_s"].dropna())
        record = record_of(name)
        # From 0, so that episodes that end in contact show as a step at the axis.
        shares = np.arange(len(values) + 1) / max(len(values), 1)
        width = 3.4 if name == "policy" else 1.6
        style: dict[str, Any] = {"color": record.colour, "linewidth": width, "label": record.label}
        axes.step([0, *values], shares, record.line, where="post", **style)
    axes.set(xlim=(0, TTC_AXIS_S), ylim=(0, 1.0))
    axes.set(xlabel="smallest time to collision of an episode [s]", ylabel=f"share of episodes below ({counted})")
    axes.yaxis.set_major_formatter(format_share)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5, handlelength=2.6)
    return figure


def plot_outcomes_by_scenario(episodes: pd.DataFrame) -> Figure:
    """Draws the collision rate of each policy in each base scenario, as a table of shaded cells with counts.

    Args:
        episodes: table of episodes of an evaluation.
    """
    expect_columns(episodes, ["policy", "base", "collision"])
    policies, bases = order_policies(episodes["policy"]), sorted(set(episodes["base"]))
    groups = episodes.astype({"collision": int}).groupby(["policy", "base"])["collision"]
    cells = groups.agg(["size", "sum"]).reset_index()
    rates = cells.assign(rate=cells["sum"] / cells["size"]).pivot(index="policy", columns="base", values="rate")
    rates = rates.reindex(index=policies, columns=bases)
    figure, axes = new_figure(2.6 + 1.15 * len(bases), 1.5 + 0.42 * len(policies))
    top = max(float(np.nanmax(rates.to_numpy())), 0.05)
    # At most half of the scale, so that the text stays readable.
    axes.pcolormesh(rates, cmap="Oranges", vmin=0, vmax=2 * top, edgecolor="white", linewidth=2)
    axes.invert_yaxis()
    for cell in cells.to_dict("records"):
        rate = binomial_interval(cell["sum"], cell["size"])
        text = f"{cell['sum']} of {cell['size']}\n{rate.low:.0%} to {rate.high:.0%}"
        x, y = bases.index(cell["base"]), policies.index(cell["policy"])
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=INK)
    axes.set_xticks(np.arange(len(bases)) + 0.5, [base.replace("_", "\n") for base in bases])
    axes.set_yticks(np.arange(len(policies)) + 0.5, [label_policy(name) for name in policies])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.set_title("episodes with a collision, and the rate's exact 95 % interval", fontsize=9.5, loc="left")
    return figure


MARKERS = {JUDGED: "o", NULL: "s", RULE: "^", UPPER_BOUND: "D", ANOTHER_RUN: "v"}
"""Marker of each kind of policy, so that colours are not all that tells them apart."""
FILLS: dict[str, Any] = {"-": "full", "--": "none", ":": "left", "-.": "bottom"}
"""Filling of a policy's marker by its line style: two policies of one colour differ, and none hides another."""
PRICES = {
    "calm_braking": "speed taken off in calm time [m/s per minute]",
    "time_lost_s": "time lost an episode [s]",
}


def plot_trade_off(summary: pd.DataFrame) -> Figure:
    """Draws each policy's collisions against its cost, both with intervals: the lower left is best."""
    expect_columns(summary, ["policy", "collision_rate", *PRICES])
    figure, panels = new_grid(2, width=4.8, height=4.0, n_columns=2)
    rows = summary[summary["episodes"] > 0]
    for axes, (name, label) in zip(panels, PRICES.items(), strict=True):
        for row in rows.to_dict("records"):
            _draw_policy(axes, row, name)
        axes.set_xscale("symlog", linthresh=1)
        axes.xaxis.set_major_formatter(format_number)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(format_share)
        axes.set(xlabel=label, ylabel=f"episodes with a collision ({tell_count(rows['episodes'])})")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=8.5)
    return figure


def _draw_policy(axes: Axes, row: Mapping[Hashable, Any], name: str) -> None:
    record = record_of(row["policy"])
    x, y = row[name], row["collision_rate"]
    ends: dict[str, Any] = {"color": record.colour, "linewidth": 1.2, "alpha": 0.6}
    axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], **ends)
    axes.plot([x, x], [row["collision_rate_low"], row["collision_rate_high"]], **ends)
    is_judged = record.kind == JUDGED
    style: dict[str, Any] = {"color": record.colour, "markersize": 11 if is_judged else 8, "markeredgewidth": 1.5}
    style |= {"fillstyle": FILLS[record.line], "markerfacecoloralt": "none", "linestyle": "", "clip_on": False}
    # Filled ones first, so that a hollow one is seen on top of them.
    axes.plot(x, y, marker=MARKERS[record.kind], label=record.label, zorder=3 + (record.line != "-"), **style)


def plot_differences(comparisons: pd.DataFrame) -> Figure:
    """Draws the judged policy's paired difference in collisions with every other policy; left of 0 it is better."""
    expect_columns(comparisons, ["figure", "second", "difference", "low", "high", "verdict"])
    rows = comparisons[comparisons["figure"] == "collision"].iloc[::-1].reset_index(drop=True)
    figure, (axes,) = new_grid(1, width=7.2, height=1.1 + 0.42 * len(rows), n_columns=1)
    for place, row in enumerate(rows.to_dict("records")):
        color = GREY if row["verdict"] == NOTHING_SHOWN else BLUE if row["difference"] < 0 else RED
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2.5)
        axes.plot(row["difference"], place, "o", color=color, markersize=8, markeredgecolor="white")
        if "pairs" in row:
            style: dict[str, Any] = {"xycoords": ("axes fraction", "data"), "fontsize": 8, "color": INK}
            axes.annotate(f"n = {row['pairs']:.0f}", (1.01, place), ha="left", va="center", **style)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"policy less {label_policy(name)}" for name in rows["second"]])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_major_formatter(format_share)
    axes.set_xlabel(
        "difference in collision rate, 95 % interval\n(blue: safer, dark orange: less safe, grey: nothing shown)"
    )
    return figure


AXES_OF_CURVES = {LOSS: "radio messages lost", LATENCY: "latency of the radio [s]"}
ALONE = "unassisted"
STEP_ASIDE = 0.012
"""Distance of two policies' points at the same value, as a share of the axis, so that none lies under another."""


def plot_degradation(curves: pd.DataFrame) -> Figure:
    """Draws collisions over loss and latency of the radio, with the judged policy's exact 95 % intervals."""
    expect_columns(curves, ["part", "curve_value", "policy", "episodes", "unsafe_rate"])
    parts = [part for part in AXES_OF_CURVES if part in set(curves["part"])]
    figure, grid = new_grid(2 * len(parts), width=5.2, height=3.0, n_columns=2)
    figures = {"collision_rate": "collisions", "unsafe_rate": "unsafe episodes"}
    for place, axes in enumerate(grid):
        part, (name, label) = parts[place // 2], list(figures.items())[place % 2]
        own = curves[curves["part"] == part]
        _draw_curves(axes, own, name)
        axes.set(xlabel=f"{AXES_OF_CURVES[part]} ({tell_count(own['episodes'])} a point)")
        axes.set_ylabel(f"{label}, hazards only")
        axes.yaxis.set_major_formatter(format_share)
        if part == LOSS:
            axes.xaxis.set_major_formatter(format_share)
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, name: str) -> None:
    policies = list(dict.fromkeys(curves["policy"]))
    aside = STEP_ASIDE * float(np.ptp(curves["curve_value"]))
    ends = []
    for place, policy in enumerate(policies):
        record, rows = record_of(policy), curves[curves["policy"] == policy].sort_values("curve_value")
        at = rows["curve_value"] + aside * (place - (len(policies) - 1) / 2)
        if policy == POLICY:  # the intervals of all policies would hide each other
            axes.vlines(at, rows[f"{name}_low"], rows[f"{name}_high"], color=record.colour, linewidth=1.6, alpha=0.6)
        style: dict[str, Any] = {"color": record.colour, "marker": "o", "markersize": 4, "clip_on": False}
        axes.plot(at, rows[name], record.line, linewidth=2.2 if policy == POLICY else 1.4, **style)
        ends.append((float(rows[name].iloc[-1]), record.label, record.colour))
    axes.set_ylim(bottom=0)
    label_lines(axes, ends)


FACTOR_LETTERS = 60
"""Letters that fit below a factor's panel, side by side; if names need more, they are turned."""


def plot_factors(factors: pd.DataFrame) -> Figure:
    """Draws the judged policy's and the lone driver's unsafe episodes by each factor that varies."""
    expect_columns(factors, ["label", "value", "policy", "unsafe_rate"])
    labels = list(dict.fromkeys(factors["label"]))
    figure, grid = new_grid(len(labels), width=4.4, height=2.6, n_columns=2)
    for axes, label in zip(grid, labels, strict=True):
        _draw_factor(axes, factors[factors["label"] == label])
        axes.set_title(label, fontsize=9.5, loc="left")
        axes.set_ylabel("unsafe episodes")
    handles, names = grid[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False, fontsize=8.5)
    return figure


def _draw_factor(axes: Axes, rows: pd.DataFrame) -> None:
    values = sorted(dict.fromkeys(rows["value"]), key=_sort_key)
    for shift, policy in ((-0.12, POLICY), (0.12, ALONE)):
        own = rows[rows["policy"] == policy].set_index("value").reindex(values)
        places, color = np.arange(len(values)) + shift, record_of(policy).colour
        axes.vlines(places, own["unsafe_rate_low"], own["unsafe_rate_high"], color=color, linewidth=2)
        style: dict[str, Any] = {"color": color, "markersize": 5, "label": label_policy(policy), "clip_on": False}
        axes.plot(places, own["unsafe_rate"], "o", **style)
    counts = rows[rows["policy"] == POLICY].set_index("value").reindex(values)["episodes"].fillna(0)
    is_tight = len(values) * max(len(word) for value in values for word in value.split("_")) > FACTOR_LETTERS
    turned: dict[str, Any] = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_tight else {}
    names = _name_values(values, [int(n) for n in counts], is_tight)
    axes.set_xticks(range(len(values)), names, fontsize=7.5, **turned)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(format_share)


def _name_values(values: Sequence[str], counts: Sequence[int], is_tight: bool) -> list[str]:
    if is_tight:
        return [f"{value.replace('_', ' ')} ({n})" for value, n in zip(values, counts, strict=True)]
    words = [value.replace("_", "\n").replace(" to ", "\nto ") for value in values]
    return [f"{word}\nn = {n}" for word, n in zip(words, counts, strict=True)]


def _sort_key(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value.split(" ")[0]), ""
    except ValueError:
        return 1, 0.0, value
