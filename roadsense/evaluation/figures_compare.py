"""Figures of an evaluation that put the judged policy beside the others: the price of safety, paired differences."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.evaluation.comparison import NOTHING_SHOWN
from roadsense.evaluation.policies import ANOTHER_RUN, JUDGED, NULL, RULE, UPPER_BOUND, label_policy, record_of
from roadsense.pictures.style import (
    BLUE,
    GREY,
    INK,
    RED,
    expect_columns,
    format_number,
    format_share,
    new_grid,
    tell_count,
)

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
            note: dict[str, Any] = {
                "xycoords": ("axes fraction", "data"),
                "ha": "left",
                "va": "center",
                "fontsize": 8,
                "color": INK,
            }
            axes.annotate(f"n = {row['pairs']:.0f}", (1.01, place), **note)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"policy less {label_policy(name)}" for name in rows["second"]])
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.xaxis.set_major_formatter(format_share)
    axes.set_xlabel(
        "difference in collision rate, 95 % interval\n(blue: safer, dark orange: less safe, grey: nothing shown)"
    )
    return figure
