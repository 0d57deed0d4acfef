"""Draws the figures of an evaluation with matplotlib."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.episodes.score import CRITICAL_TTC_S
from roadsense.evaluation.comparison import NOTHING_SHOWN
from roadsense.evaluation.plans import LATENCY, LOSS
from roadsense.evaluation.policies import label_policy, order_policies, record_of
from roadsense.evaluation.results import Evaluation
from roadsense.evaluation.styled import show_checks, show_policies, show_splits, show_verdicts
from roadsense.pictures.style import (
    BLUE,
    GREY,
    INK,
    RED,
    TTC_AXIS_S,
    expect_columns,
    format_share,
    new_figure,
    new_grid,
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
    "show_checks",
    "show_policies",
    "show_splits",
    "show_verdicts",
]

AXES_OF_CURVES = {LOSS: "radio messages lost", LATENCY: "latency of the radio [s]"}


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
    axes.set(xlabel="smallest time to collision of an episode [s]", ylabel="share of episodes below")
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


def plot_trade_off(summary: pd.DataFrame) -> Figure:
    """Draws each policy's collisions against its cost, both with intervals: the lower left is best."""
    expect_columns(summary, ["policy", "collision_rate", "calm_braking", "time_lost_s"])
    figure, panels = new_grid(2, width=4.8, height=4.0, n_columns=2)
    prices = {
        "calm_braking": "speed taken off in calm time [m/s per minute]",
        "time_lost_s": "time lost an episode [s]",
    }
    for axes, (name, label) in zip(panels, prices.items(), strict=True):
        for row in summary[summary["episodes"] > 0].to_dict("records"):
            record = record_of(row["policy"])
            x, y = row[name], row["collision_rate"]
            ends: dict[str, Any] = {"color": record.colour, "linewidth": 1.4, "alpha": 0.7}
            axes.plot([row[f"{name}_low"], row[f"{name}_high"]], [y, y], **ends)
            axes.plot([x, x], [row["collision_rate_low"], row["collision_rate_high"]], **ends)
            style: dict[str, Any] = {"color": record.colour, "markeredgecolor": "white", "markersize": 8}
            axes.plot(x, y, "o", **style, label=record.label)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_ylim(bottom=-0.01)
        axes.yaxis.set_major_formatter(format_share)
        axes.set(xlabel=label, ylabel="episodes with a collision")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5)
    return figure


def plot_differences(comparisons: pd.DataFrame) -> Figure:
    """Draws the judged policy's paired difference in collisions with every other policy; left of 0 it is better."""
    expect_columns(comparisons, ["figure", "second", "difference", "low", "high", "verdict"])
    rows = comparisons[comparisons["figure"] == "collision"].iloc[::-1].reset_index(drop=True)
    figure, (axes,) = new_grid(1, width=7.2, height=1.1 + 0.42 * len(rows), n_columns=1)
    for place, row in enumerate(rows.to_dict("records")):
        color = GREY if row["verdict"] == NOTHING_SHOWN else BLUE if row["difference"] < 0 else RED
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=2.5)
        axes.plot(row["difference"], place, "o", color=color, markersize=8, markeredgecolor="white")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"policy less {label_policy(name)}" for name in rows["second"]])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_major_formatter(format_share)
    axes.set_xlabel("difference in collision rate (95 % interval; grey: nothing shown)")
    return figure


def plot_degradation(curves: pd.DataFrame) -> Figure:
    """Draws collisions over loss and latency of the radio, with the judged policy's exact 95 % interval."""
    expect_columns(curves, ["part", "curve_value", "policy", "unsafe_rate"])
    parts = [part for part in AXES_OF_CURVES if part in set(curves["part"])]
    figure, grid = new_grid(2 * len(parts), width=4.8, height=3.0, n_columns=2)
    for place, part in enumerate(parts):
        panels = zip(
            grid[2 * place :][:2], ("collision_rate", "unsafe_rate"), ("collisions", "unsafe episodes"), strict=True
        )
        for axes, figure_name, label in panels:
            _draw_curves(axes, curves[curves["part"] == part], figure_name)
            axes.set(xlabel=AXES_OF_CURVES[part], ylabel=f"{label}, hazards only")
            axes.yaxis.set_major_formatter(format_share)
            if part == LOSS:
                axes.xaxis.set_major_formatter(format_share)
    grid[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8.5)
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, name: str) -> None:
    for policy, rows in curves.groupby("policy", sort=False):
        record = record_of(str(policy))
        color = record.colour
        rows = rows.sort_values("curve_value")
        if policy == "policy":  # bands of all policies would hide each other
            ends = rows[f"{name}_low"], rows[f"{name}_high"]
            axes.fill_between(rows["curve_value"], *ends, color=color, alpha=0.12, linewidth=0)
        style: dict[str, Any] = {"color": color, "marker": "o", "markersize": 4, "label": record.label}
        axes.plot(rows["curve_value"], rows[name], record.line, linewidth=2.2 if policy == "policy" else 1.4, **style)
    axes.set_ylim(bottom=0)


def plot_factors(factors: pd.DataFrame) -> Figure:
    """Draws the judged policy's and the lone driver's unsafe episodes by each factor that varies."""
    expect_columns(factors, ["label", "value", "policy", "unsafe_rate"])
    labels = list(dict.fromkeys(factors["label"]))
    figure, grid = new_grid(len(labels), width=4.4, height=2.6, n_columns=2)
    for axes, label in zip(grid, labels, strict=True):
        rows = factors[factors["label"] == label]
        values = sorted(dict.fromkeys(rows["value"]), key=_sort_key)
        for shift, policy in ((-0.12, "policy"), (0.12, "unassisted")):
            own = rows[rows["policy"] == policy].set_index("value").reindex(values)
            places = np.arange(len(values)) + shift
            color = record_of(policy).colour
            axes.vlines(places, own["unsafe_rate_low"], own["unsafe_rate_high"], color=color, linewidth=2)
            axes.plot(places, own["unsafe_rate"], "o", color=color, markersize=5, label=label_policy(policy))
        axes.set_xticks(
            range(len(values)), [value.replace("_", "\n").replace(" to ", "\nto ") for value in values], fontsize=7.5
        )
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(format_share)
        axes.set_title(label, fontsize=9.5, loc="left")
    grid[0].set_ylabel("unsafe episodes")
    grid[0].legend(frameon=False, fontsize=8)
    return figure


def _sort_key(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value.split(" ")[0]), ""
    except ValueError:
        return 1, 0.0, value
