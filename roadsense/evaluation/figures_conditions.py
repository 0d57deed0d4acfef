"""Figures of an evaluation over its conditions: worse and worse radios, and whatever varies between episodes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.episodes.plan import POLICY
from roadsense.evaluation.plans import LATENCY, LOSS
from roadsense.evaluation.policies import label_policy, record_of
from roadsense.pictures.style import expect_columns, format_share, label_lines, new_grid, tell_count

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
    axes.set_xticks(range(len(values)), _name_values(values, [int(n) for n in counts]), fontsize=7.5)
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(format_share)


def _name_values(values: Sequence[str], counts: Sequence[int]) -> list[str]:
    words = [value.replace("_", "\n").replace(" to ", "\nto ") for value in values]
    return [f"{word}\nn = {n}" for word, n in zip(words, counts, strict=True)]


def _sort_key(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value.split(" ")[0]), ""
    except ValueError:
        return 1, 0.0, value
