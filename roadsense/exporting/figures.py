"""Figures of an export: tables in, matplotlib figures out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from roadsense.evaluation.styled import LEFT
from roadsense.exporting.closed_loop import FIGURES, TRAINED, Comparison
from roadsense.exporting.parity import FLOAT32, INT8
from roadsense.pictures.style import BLUE, GREY, INK, ORANGE, RED, expect_columns, format_number, format_share, new_grid

COLORS = {FLOAT32: BLUE, INT8: ORANGE, TRAINED: GREY}
LEAST_DIFFERENCE = 1e-9
"""Actions that are equal are drawn here, at the left end of a logarithmic axis."""


def plot_sizes(sizes: pd.DataFrame) -> Figure:
    """Draws each file's bytes and the arena it needs.

    Args:
        sizes: table that `Export.sizes` returns.
    """
    expect_columns(sizes, ["file", "variant", "size_bytes", "arena_bytes"])
    figure, panels = new_grid(2, width=4.4, height=0.9 + 0.5 * len(sizes), n_columns=2)
    columns = {"size_bytes": "file [kB]", "arena_bytes": "arena on a 32-bit chip [kB]"}
    for axes, (column, label) in zip(panels, columns.items(), strict=True):
        kilobytes = sizes[column] / 1000
        axes.barh(sizes["file"], kilobytes, color=[COLORS[name] for name in sizes["variant"]], height=0.6)
        for place, value in enumerate(kilobytes):
            axes.annotate(f"{value:.1f}", (value, place), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set(xlabel=label, xlim=(0, 1.18 * kilobytes.max()))
        axes.invert_yaxis()
    return figure


def plot_parity(actions: pd.DataFrame, bounds: dict[str, float]) -> Figure:
    """Draws the share of observations on which the difference from the trained policy's action is below each value.

    Args:
        actions: a row for each observation: the action of `trained` and of each exported policy.
        bounds: largest allowed difference, by exported policy.
    """
    expect_columns(actions, [TRAINED, *bounds])
    figure, (axes,) = new_grid(1, width=7.2, height=3.4, n_columns=1)
    for variant, bound in bounds.items():
        difference = (actions[variant].astype(float) - actions[TRAINED]).abs().clip(lower=LEAST_DIFFERENCE)
        axes.ecdf(difference, color=COLORS[variant], linewidth=2.0, label=variant)
        axes.axvline(bound, color=COLORS[variant], linestyle="--", linewidth=1.2)
        axes.annotate("at most", (bound, 0.5), (-4, 0), xycoords=("data", "axes fraction"), ha="right", va="center",
                      textcoords="offset points", fontsize=8, color=INK, rotation=90)  # fmt: skip
    axes.set(xscale="log", xlim=(LEAST_DIFFERENCE, 2 * max(bounds.values())), ylim=(0, 1))
    axes.set_xlabel("difference to the trained policy's action (left end: none)")
    axes.set_ylabel(f"observations below (n = {len(actions):,})")
    axes.xaxis.set_major_formatter(format_number)
    axes.yaxis.set_major_formatter(format_share)
    figure.legend(loc="outside upper center", ncols=len(bounds), frameon=False, fontsize=8.5)
    return figure


def show_parity(parity: pd.DataFrame) -> Styler:
    """Returns the differences of the exported policies' actions as a table with readable names.

    Args:
        parity: table that `Export.parity` returns.
    """
    names = {"rms": "root mean square", "p99": "99th percentile", "max": "largest"}
    styler = parity.rename(columns=names).style.hide(axis="index").set_table_styles(LEFT)
    return styler.format("{:.2g}", subset=list(names.values()))


def plot_latency(latency: pd.DataFrame) -> Figure:
    """Draws the time of one action, median and 99th percentile, for each way to run the policy.

    Args:
        latency: table that `Export.latency` returns.
    """
    expect_columns(latency, ["runtime", "p50_us", "p99_us"])
    figure, (axes,) = new_grid(1, width=7.2, height=0.8 + 0.42 * len(latency), n_columns=1)
    places = np.arange(len(latency))
    axes.barh(places, latency["p50_us"], color=[_color_of(name) for name in latency["runtime"]], height=0.6)
    axes.hlines(places, latency["p50_us"], latency["p99_us"], color=INK, linewidth=1)
    slowest = float(latency["p50_us"].max())
    for place, value in zip(places, latency["p50_us"], strict=True):
        text = f"{value:.1f} us" + (f", {slowest / value:.0f} times as fast" if value < slowest else "")
        axes.annotate(text, (value, place), (0, 11), textcoords="offset points", va="center", fontsize=7.5, color=INK)
    axes.set(xscale="log", xlabel="time of one action on this machine [us]; line: to the 99th percentile")
    axes.xaxis.set_major_formatter(format_number)
    axes.set_yticks(places, latency["runtime"])
    axes.set_ylim(len(latency) - 0.4, -0.8)
    return figure


def plot_driving(comparisons: Sequence[Comparison]) -> Figure:
    """Draws how each exported policy drove compared with the trained one: differences with their 95 % intervals.

    Args:
        comparisons: comparisons of an export; the figure says so if there are none.
    """
    if not comparisons:
        figure, (axes,) = new_grid(1, width=7.2, height=1.2, n_columns=1)
        axes.set_axis_off()
        axes.text(0.0, 0.5, "The exported policy was not driven.", color=RED, va="center")
        return figure
    figure, panels = new_grid(1 + len(FIGURES), width=4.4, height=0.9 + 0.45 * len(comparisons), n_columns=2)
    for axes, name in zip(panels, ("collision_rate", *FIGURES), strict=True):
        intervals = [found.collision_rate if name == "collision_rate" else found.figures[name] for found in comparisons]
        axes.axvline(0, color=INK, linewidth=0.8)
        for place, (found, interval) in enumerate(zip(comparisons, intervals, strict=True)):
            color = COLORS[found.variant]
            # Files that act alike differ in the last digits, which is no difference.
            if interval.low > (0.0 if name == "collision_rate" else FIGURES[name][1]):
                axes.annotate(
                    "worse", (interval.value, place), (0, 7), textcoords="offset points", color=RED, ha="center"
                )
            axes.plot([interval.low, interval.high], [place, place], color=color, linewidth=2.5)
            axes.plot(interval.value, place, "o", color=color, markersize=7, markeredgecolor="white")
        axes.set_yticks(range(len(comparisons)), [found.variant for found in comparisons])
        axes.set_ylim(len(comparisons) - 0.4, -0.6)
        axes.set_xlabel("collision rate" if name == "collision_rate" else FIGURES[name][0])
        if name == "collision_rate":
            axes.xaxis.set_major_formatter(format_share)
    counts = ", ".join(f"{found.variant} n = {found.episodes}" for found in comparisons)
    title = f"exported minus trained on the same episodes, 95 % intervals ({counts})\nright of 0 is worse"
    figure.suptitle(title, fontsize=9.5)
    return figure


def _color_of(runtime: str) -> str:
    return next((color for variant, color in COLORS.items() if variant in runtime), GREY)
