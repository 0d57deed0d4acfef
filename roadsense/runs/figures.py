"""Figures of a training, during it or afterwards, for one seed or several."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator

from roadsense.errors import InputError
from roadsense.pictures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    expect_columns,
    format_share,
    label_lines,
    new_grid,
)

LEARNING_PANELS = {
    "reward_mean": "reward per episode [-]",
    "collision_rate": "episodes with a collision",
    "min_ttc_median_s": "smallest TTC, median [s]",
    "false_braking_share": "false braking in calm time",
    "steps_per_s": "speed [steps/s]",
}
HELD_OUT = {
    "collision_rate": "eval_collision_rate",
    "min_ttc_median_s": "eval_min_ttc_median_s",
    "false_braking_share": "eval_false_braking_share",
}
"""The same figure on held-out scenarios, by panel."""

MEMORY = ("memory_main_mb", "memory_workers_mb")
HELD_OUT_INK = "#8a5f00"
SHARES = ("collision_rate", "false_braking_share")

PANEL_IN, LETTER_IN = 2.45, 0.057
"""Width of a panel's inside, and of a letter of the names at the ends of its lines."""
NAMES_AT, NAMES_SHARE = 1.04, 0.6
"""Where these names begin, as a share of the steps, and the largest share of a panel that they take."""

HELD_OUT_PANELS = {
    "eval_collision_rate": "held out: collisions",
    "eval_score": "held out: score",
}
N_POINTS = 200
TERM_COLOURS = (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY)


def plot_learning(metrics: pd.DataFrame) -> Figure:
    """Draws the course of a training: a panel for each available figure, one for the reward's terms and one for memory.

    Blue is training; orange is the same figure on held-out scenarios, for collisions with the exact 95 % interval.

    Args:
        metrics: table of `Run.read_metrics`; missing columns are left out.
    """
    expect_columns(metrics, ["timesteps"])
    terms = [name for name in map(str, metrics.columns) if name.startswith("term_")]
    known = metrics.replace([np.inf, -np.inf], np.nan)
    panels = [name for name in LEARNING_PANELS if name in known and known[name].notna().any()]
    panels += ["memory"] * (MEMORY[0] in known) + ["terms"] * bool(terms)
    if not panels:
        raise InputError(f"Expected columns of {list(LEARNING_PANELS)} or term_*, got {metrics.columns.tolist()}.")
    figure, grid = new_grid(len(panels), width=3.6, height=2.3, n_columns=3)
    last = float(metrics["timesteps"].max())
    for axes, name in zip(grid, panels, strict=True):
        if name == "terms":
            _draw_lines(axes, known, terms, "reward terms, unweighted [-]")
        elif name == "memory":
            _draw_lines(axes, known, [column for column in MEMORY if column in known], "memory [MB]")
        else:
            _draw_panel(axes, known, name)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        names = [text.get_text() for text in axes.texts[1:]] if name in ("terms", "memory") else []
        axes.set(xlabel="environment steps", xlim=(0, _find_end(names) * last))
        axes.set_xticks([at for at in axes.get_xticks() if at <= last])
    return figure


def _find_end(names: Sequence[str]) -> float:
    """Returns the right end of an axis, as a multiple of the steps, with room for names beside its lines."""
    share = min(LETTER_IN * max(map(len, names), default=0) / PANEL_IN, NAMES_SHARE)
    return (NAMES_AT if names else 1.03) / (1 - share)


def _draw_panel(axes: Axes, metrics: pd.DataFrame, name: str) -> None:
    own = metrics.dropna(subset=[name])
    # Not clipped: the axis would hide a line at 0.
    axes.plot(own["timesteps"], own[name], color=BLUE, linewidth=1.6, marker=_marker(own), clip_on=False, zorder=3)
    axes.set_ylabel(LEARNING_PANELS[name])
    held_out = HELD_OUT.get(name)
    if held_out in metrics and metrics[held_out].notna().any():
        _draw_held_out(axes, metrics, str(held_out))
    if name in SHARES:
        axes.yaxis.set_major_formatter(format_share)
    if name in (*SHARES, "steps_per_s", "min_ttc_median_s"):
        axes.set_ylim(bottom=0)


def _draw_held_out(axes: Axes, metrics: pd.DataFrame, name: str) -> None:
    judged = metrics.dropna(subset=[name])
    steps, values = judged["eval_timesteps"], judged[name]
    low, high = f"{name}_low", f"{name}_high"
    if low in judged and high in judged:
        axes.vlines(steps, judged[low], judged[high], color=ORANGE, linewidth=1.4)
    axes.plot(steps, values, color=ORANGE, linewidth=1.2, marker="o", markersize=4)
    place: dict[str, Any] = {"xytext": (4, 4), "textcoords": "offset points", "fontsize": 7.5, "color": HELD_OUT_INK}
    axes.annotate("held out", (float(steps.iloc[0]), float(values.iloc[0])), **place)


def _draw_lines(axes: Axes, metrics: pd.DataFrame, names: Sequence[str], label: str) -> None:
    ends = []
    for place, name in enumerate(names):
        own = metrics.dropna(subset=[name])
        words = name.removeprefix("term_").removeprefix("memory_").removesuffix("_mb").replace("_", " ")
        colour = TERM_COLOURS[place % len(TERM_COLOURS)]
        axes.plot(own["timesteps"], own[name], color=colour, linewidth=1.4, marker=_marker(own))
        if len(own):
            ends.append((float(own[name].iloc[-1]), words, colour))
    axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    axes.set_ylabel(label)
    label_lines(axes, ends, NAMES_AT * float(metrics["timesteps"].max()))


def _marker(metrics: pd.DataFrame) -> str:
    return "o" if len(metrics) < 3 else ""


def plot_learning_of_seeds(metrics: pd.DataFrame) -> Figure:
    """Draws the trainings of an experiment: a thin line for each seed, their median, and their range shaded.

    A seed that is still training counts up to its latest step.

    Args:
        metrics: table of `roadsense.runs.run.read_seeds`; missing columns are left out.
    """
    expect_columns(metrics, ["timesteps", "seed"])
    labels = {**LEARNING_PANELS, **HELD_OUT_PANELS}
    known = metrics.replace([np.inf, -np.inf], np.nan)
    panels = [name for name in labels if name in known and known[name].notna().any()]
    if not panels:
        raise InputError(f"Expected columns of {list(labels)}, got {metrics.columns.tolist()}.")
    figure, grid = new_grid(len(panels), width=4.6, height=2.7, n_columns=2)
    for axes, name in zip(grid, panels, strict=True):
        at = "eval_timesteps" if name in HELD_OUT_PANELS else "timesteps"
        curves = [own[[at, name]].dropna().to_numpy(dtype=float) for _, own in known.groupby("seed")]
        curves = [curve[np.argsort(curve[:, 0], kind="stable")] for curve in curves if len(curve)]
        for curve in curves:
            axes.plot(*curve.T, color=BLUE, linewidth=0.7, alpha=0.5)
        steps = np.linspace(max(c[0, 0] for c in curves), max(c[-1, 0] for c in curves), N_POINTS)
        values = np.array(
            [np.interp(steps, curve[:, 0], curve[:, 1], right=np.nan) for curve in curves]
        )  # of the seeds that reached this step
        low, middle, high = (find(values, axis=0) for find in (np.nanmin, np.nanmedian, np.nanmax))
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.15, linewidth=0)
        axes.plot(steps, middle, color=ORANGE, linewidth=2.0)
        axes.set(xlabel="environment steps", ylabel=labels[name])
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if name.endswith(("collision_rate", "share")):
            axes.yaxis.set_major_formatter(format_share)
    return figure
