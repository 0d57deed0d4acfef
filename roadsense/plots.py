"""Table in, matplotlib figure out. Colours are Okabe and Ito's, which the colour-blind can tell apart."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.errors import InputError
from roadsense.evaluation.names import LABELS
from roadsense.statistics import binomial_interval

BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, SKY, GREY, INK = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#7f4f24", "#56b4e9", "#8c8c8c", "#2b3036",
)  # fmt: skip
STYLES = {
    "policy": (BLUE, "-"), "policy_muted": (SKY, "--"), "unassisted": (INK, "-"), "always_brake": (GREY, "--"),
    "heard_braking_rule": (ORANGE, "-"), "heard_drac_rule": (RED, "-."),
    "heard_prediction_rule": (PURPLE, "-."), "cautious_rule": (BROWN, "-"), "perfect_driver": (GREEN, ":"),
}  # fmt: skip
"""Colour and line of each policy; nulls and bound are broken lines, the driver alone excepted."""
CRITICAL_TTC_S = 1.5
TTC_AXIS_S = 6.0


def plot_collision_rates(summary: pd.DataFrame) -> Figure:
    """Draws each policy's collision rate with its exact 95 % interval, the safest on top.

    Args:
        summary: as `summarise` makes it.
    """
    expect_columns(summary, ["policy", "episodes", "collisions", "collision_rate", "collision_rate_low"])
    rows = summary.sort_values(["collision_rate", "collision_rate_high"], ascending=False).reset_index(drop=True)
    figure, axes = _new_figure(7.2, 1.3 + 0.42 * len(rows))
    for place, row in enumerate(rows.to_dict("records")):
        color, _ = STYLES.get(row["policy"], (PURPLE, "-"))
        low, high = row["collision_rate_low"], row["collision_rate_high"]
        axes.plot([low, high], [place, place], color=color, linewidth=2.5, solid_capstyle="butt")
        axes.plot(row["collision_rate"], place, "o", color=color, markersize=8, markeredgecolor="white")
        note = f"{row['collisions']:.0f} of {row['episodes']:.0f}"
        axes.annotate(note, (high, place), (6, 0), textcoords="offset points", va="center", fontsize=8, color=INK)
    axes.set_yticks(range(len(rows)), [_label(name) for name in rows["policy"]])
    axes.set(ylim=(-0.6, len(rows) - 0.4), xlabel="episodes with a collision (exact 95 % interval)")
    top = max(float(rows["collision_rate_high"].max()), 0.02)
    axes.set_xlim(-0.01 * top, 1.14 * top)
    axes.xaxis.set_major_formatter(format_share)
    return figure


def plot_min_ttc(episodes: pd.DataFrame) -> Figure:
    """Draws the share of each policy's episodes whose smallest time to collision is below each value.

    Args:
        episodes: as `evaluate` makes them.
    """
    expect_columns(episodes, ["policy", "min_ttc_s"])
    figure, axes = _new_figure(7.2, 4.2)
    axes.axvspan(0, CRITICAL_TTC_S, color=RED, alpha=0.07, linewidth=0)
    axes.axvline(CRITICAL_TTC_S, color=RED, linewidth=0.8)
    axes.text(CRITICAL_TTC_S - 0.06, 0.985, "critical", color=RED, fontsize=8, ha="right", va="top")
    for name in _order(episodes["policy"]):
        values = np.sort(episodes.loc[episodes["policy"] == name, "min_ttc_s"].dropna())
        color, line = STYLES.get(name, (PURPLE, "-"))
        # From 0, so that episodes that end in contact show as a step at the axis.
        shares = np.arange(len(values) + 1) / max(len(values), 1)
        width = 3.4 if name == "policy" else 1.6
        axes.step([0, *values], shares, line, where="post", color=color, linewidth=width, label=_label(name))
    axes.set(xlim=(0, TTC_AXIS_S), ylim=(0, 1.0))
    axes.set(xlabel="smallest time to collision of an episode [s]", ylabel="share of episodes below")
    axes.yaxis.set_major_formatter(format_share)
    style: dict[str, Any] = {"frameon": False, "fontsize": 8.5, "handlelength": 2.6}
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), **style)
    return figure


def plot_outcomes_by_scenario(episodes: pd.DataFrame) -> Figure:
    """Draws the collision rate of each policy in each base scenario, as a table of shaded cells with counts.

    Args:
        episodes: as `evaluate` makes them.
    """
    expect_columns(episodes, ["policy", "base", "collision"])
    policies, bases = _order(episodes["policy"]), sorted(set(episodes["base"]))
    groups = episodes.astype({"collision": int}).groupby(["policy", "base"])["collision"]
    cells = groups.agg(["size", "sum"]).reset_index()
    rates = cells.assign(rate=cells["sum"] / cells["size"]).pivot(index="policy", columns="base", values="rate")
    rates = rates.reindex(index=policies, columns=bases)
    figure, axes = _new_figure(2.6 + 1.15 * len(bases), 1.5 + 0.42 * len(policies))
    top = max(float(np.nanmax(rates.to_numpy())), 0.05)
    # Half of the scale at the most: the text stays readable on it.
    axes.pcolormesh(rates, cmap="Oranges", vmin=0, vmax=2 * top, edgecolor="white", linewidth=2)
    axes.invert_yaxis()
    for cell in cells.to_dict("records"):
        rate = binomial_interval(cell["sum"], cell["size"])
        text = f"{cell['sum']} of {cell['size']}\n{rate.low:.0%} to {rate.high:.0%}"
        x, y = bases.index(cell["base"]), policies.index(cell["policy"])
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7.5, color=INK)
    axes.set_xticks(np.arange(len(bases)) + 0.5, [base.replace("_", "\n") for base in bases])
    axes.set_yticks(np.arange(len(policies)) + 0.5, [_label(name) for name in policies])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    axes.set_title("episodes with a collision, and the rate's exact 95 % interval", fontsize=9.5, loc="left")
    return figure


def _new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    return figure, clean_axes(figure.add_subplot())


def new_grid(n_panels: int, width: float, height: float, n_columns: int) -> tuple[Figure, list[Axes]]:
    """Returns a figure and its panels, row by row, each of this size in inches."""
    n_columns = min(n_columns, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    size = (width * n_columns, height * n_rows + 0.4)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    return figure, [clean_axes(figure.add_subplot(n_rows, n_columns, place + 1)) for place in range(n_panels)]


def clean_axes(axes: Axes) -> Axes:
    """Gives axes the look of every chart: a light grid, no box, small labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=INK)
    axes.xaxis.label.set_fontsize(9.5)
    axes.yaxis.label.set_fontsize(9.5)
    return axes


def format_share(value: float, _place: float) -> str:
    """Returns a share as an axis shows it, in percent."""
    return f"{100 * value:g} %"


def _label(policy: str) -> str:
    return LABELS.get(policy, policy)


def _order(policies: pd.Series) -> list[str]:
    present = list(dict.fromkeys(policies))
    return [name for name in LABELS if name in present] + [name for name in present if name not in LABELS]


def expect_columns(table: pd.DataFrame, columns: list[str]) -> None:
    """Raises an `InputError` if a table lacks rows or one of the columns."""
    missing = [name for name in columns if name not in table]
    if missing or table.empty:
        raise InputError(f"Expected a table with rows and the columns {columns}, it lacks {missing or 'rows'}.")
