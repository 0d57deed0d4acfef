"""The style of every chart. The colours are mostly Okabe and Ito's, which colour-blind people can distinguish."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.errors import InputError
from roadsense.utils.workspace import resolve

BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, SKY, GREY, INK, TEAL = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#7f4f24", "#56b4e9", "#8c8c8c", "#2b3036", "#117a65",
)  # fmt: skip
TTC_AXIS_S = 6.0
"""Upper end of a time-to-collision axis: larger values mean no danger."""

LINE_SHARE = 0.075
"""Least distance of two names beside a panel, as a share of its height."""
FORMATS, PRINT_DPI = ("pdf", "svg", "png"), 300


def new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Returns a figure of this size in inches with one panel."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained", facecolor="white")
    return figure, clean_axes(figure.add_subplot())


def new_grid(
    n_panels: int, width: float, height: float, n_columns: int, letters: bool = True
) -> tuple[Figure, list[Axes]]:
    """Returns a figure and its panels, row by row, each of this size in inches; several have letters from a on."""
    n_columns = min(n_columns, n_panels)
    n_rows = math.ceil(n_panels / n_columns)
    size = (width * n_columns, height * n_rows + 0.4)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    panels = [clean_axes(figure.add_subplot(n_rows, n_columns, place + 1)) for place in range(n_panels)]
    for letter, axes in zip(ascii_lowercase if letters and n_panels > 1 else "", panels, strict=False):
        place: dict[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (-8, 5)}
        axes.annotate(letter, (0, 1), ha="right", va="bottom", fontsize=10, fontweight="bold", color=INK, **place)
    return figure, panels


def label_lines(axes: Axes, ends: Sequence[tuple[float, str, str]], x: float | None = None) -> None:
    """Writes a name at the right end of each line, in its colour, so that no legend is needed.

    Args:
        axes: panel with its final scale.
        ends: last value, name and colour of each line; names whose values lie together are moved apart.
        x: left end of the names, in the unit of the axis; None: beside the panel.
    """
    low, high = axes.get_ylim()
    least, at = LINE_SHARE * (high - low), -math.inf
    for value, name, colour in sorted(ends):
        at = max(value, at + least)
        place: dict[str, Any] = {"xycoords": "data" if x else ("axes fraction", "data"), "va": "center"}
        axes.annotate(name, (x or 1.02, at), color=colour, annotation_clip=False, fontsize=7.5, **place)


def save_figures(figures: Mapping[str, Figure], folder: str | Path, format: str = "pdf") -> list[Path]:
    """Saves figures for a paper; text in PDF and SVG stays text.

    Args:
        figures: figures by name, as `roadsense.evaluation.figures.draw_figures` returns them.
        folder: folder for the files; it is made if it does not exist.
        format: ending of the files: pdf, svg or png.

    Returns:
        The paths of the files, in the order of the figures.

    Raises:
        InputError: if the format is another one.

    Examples:
        >>> from roadsense.pictures.style import new_figure, save_figures
        >>> [path.name for path in save_figures({"empty": new_figure(2, 1)[0]}, "figures")]
        ['empty.pdf']
    """
    if format not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}.")
    folder = resolve(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.{format}" for name in figures]
    with rc_context({"pdf.fonttype": 42, "svg.fonttype": "none"}):
        for path, figure in zip(paths, figures.values(), strict=True):
            figure.savefig(path, dpi=PRINT_DPI)
    return paths


def clean_axes(axes: Axes) -> Axes:
    """Gives axes the style of every chart: a light grid, no box, small labels."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e4e4", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8.5, colors=INK)
    axes.xaxis.label.set_fontsize(9.5)
    axes.yaxis.label.set_fontsize(9.5)
    return axes


def format_share(value: float, _place: float) -> str:
    """Returns a share as axis text, in percent."""
    return f"{100 * value:g} %"


def format_number(value: float, _place: float) -> str:
    """Returns a number as axis text, also of a logarithmic axis: 0.001, 100, 1e-08."""
    return f"{value:g}"


def tell_count(counts: pd.Series) -> str:
    """Returns how many episodes are behind each point: `n = 20`, or `n = 18 to 20` if points differ."""
    low, high = int(counts.min()), int(counts.max())
    return f"n = {low}" if low == high else f"n = {low} to {high}"


def expect_columns(table: pd.DataFrame, columns: list[str]) -> None:
    """Raises an `InputError` if a table lacks rows or one of the columns."""
    missing = [name for name in columns if name not in table]
    if missing or table.empty:
        raise InputError(f"Expected a table with rows and the columns {columns}, it lacks {missing or 'rows'}.")
