"""The style of every chart. The colours are those of Okabe and Ito, which colour-blind people can distinguish."""

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from roadsense.errors import InputError

BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, SKY, GREY, INK = (
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#7f4f24", "#56b4e9", "#8c8c8c", "#2b3036",
)  # fmt: skip
TTC_AXIS_S = 6.0
"""Upper end of a time-to-collision axis: larger values mean no danger."""


def new_figure(width_in: float, height_in: float) -> tuple[Figure, Axes]:
    """Returns a figure of this size in inches with one panel."""
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


def expect_columns(table: pd.DataFrame, columns: list[str]) -> None:
    """Raises an `InputError` if a table lacks rows or one of the columns."""
    missing = [name for name in columns if name not in table]
    if missing or table.empty:
        raise InputError(f"Expected a table with rows and the columns {columns}, it lacks {missing or 'rows'}.")
