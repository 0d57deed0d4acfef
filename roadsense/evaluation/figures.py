"""Draws the figures of an evaluation with matplotlib."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from roadsense.episodes.score import CRITICAL_TTC_S
from roadsense.evaluation.figures_compare import plot_differences, plot_trade_off
from roadsense.evaluation.figures_conditions import plot_degradation, plot_factors
from roadsense.evaluation.policies import label_policy, order_policies, record_of
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.styled import show_checks, show_conditions, show_policies, show_splits, show_verdicts
from roadsense.pictures.style import (
    INK,
    RED,
    TTC_AXIS_S,
    expect_columns,
    format_share,
    new_figure,
    save_figures,
    tell_count,
)
from roadsense.utils.statistics import binomial_interval

__all__ = [
    "draw_figures",
    "plot_collision_rates",
    "plot_degradation",
    "plot_differences",
    "plot_factors",
    "plot_min_ttc",
    "plot_outcomes_by_scenario",
    "plot_trade_off",
    "save_figures",
    "show_checks",
    "show_conditions",
    "show_policies",
    "show_splits",
    "show_verdicts",
]


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
