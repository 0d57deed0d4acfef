"""The trials of a search as a table and as figures: what each reached, and how it depends on each setting."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from roadsense.jobs.sagemaker_trials import COMPLETED, FAILED, Trial
from roadsense.pictures.style import BLUE, GREY, INK, ORANGE, RED, expect_columns, new_grid

STYLES: dict[str, dict[str, Any]] = {
    COMPLETED: {"marker": "o", "color": BLUE},
    "Stopped": {"marker": "o", "color": GREY, "markerfacecolor": "none"},
    "InProgress": {"marker": "o", "color": ORANGE, "markerfacecolor": "none"},
    FAILED: {"marker": "x", "color": RED},
}
"""How a trial is drawn, by SageMaker's word for it; any other word looks like one under way."""
WORDS = {
    COMPLETED: "to its end",
    "Stopped": "ended early",
    "InProgress": "under way",
    FAILED: "failed, without a score",
}
LOG_RATIO = 10.0
"""A setting whose values differ by this factor has a logarithmic axis."""
MOST_VALUES = 5
"""A setting with no more values than this is shown as a list of them."""
LONGEST_VALUE = 10
"""Characters of a value in such a list; one that was drawn from a range has more."""


def tabulate_trials(trials: Sequence[Trial]) -> pd.DataFrame:
    """Returns a row for each trial, in their order, settings that are numbers as such."""
    table = pd.DataFrame([trial.as_row() for trial in trials])
    for name in settings_of(trials):
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.notna().all():
            table[name] = numbers
    return table


def settings_of(trials: Sequence[Trial]) -> list[str]:
    """Returns the names of the settings that were searched."""
    return list(dict.fromkeys(name for trial in trials for name in trial.settings))


def plot_trials(trials: Sequence[Trial], objective: str = "score") -> Figure:
    """Draws what each trial reached, in the order they began, and the same over each setting that was searched.

    The best is orange, and so is the line of the best so far. Failed trials have no score and are marked at the bottom.

    Args:
        trials: at least one.
        objective: name of the figure that is maximised.
    """
    table = tabulate_trials(trials)
    expect_columns(table, ["number", "status", "score"])
    varied = [name for name in settings_of(trials) if table[name].nunique() > 1]
    figure, (first, *others) = new_grid(1 + len(varied), width=3.6, height=2.5, n_columns=3)
    _draw(first, table, table["number"])
    _draw_best_so_far(first, table)
    first.set(xlabel="trial", ylabel=objective.replace("_", " "))
    first.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    for axes in others[2::3]:  # at the left of each further row
        axes.set_ylabel(first.get_ylabel())
    for axes, name in zip(others, varied, strict=True):
        _draw(axes, table, _place(axes, table[name]))
        axes.set_xlabel(name.replace("_", " "))
    handles, labels = first.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=8.5)
    return figure


def _draw(axes: Axes, table: pd.DataFrame, places: pd.Series) -> None:
    low, high = table["score"].min(), table["score"].max()
    bottom = 0.0 if np.isnan(low) else low - 0.12 * max(high - low, 1e-3)
    for status, rows in table.groupby("status", sort=False):
        style = STYLES.get(str(status), STYLES["InProgress"])
        scores = rows["score"].fillna(bottom) if status == FAILED else rows["score"]
        label = f"{WORDS.get(str(status), str(status))} ({len(rows)})"
        axes.plot(places[rows.index], scores, linestyle="", markersize=5, label=label, **style)
    done = table[(table["status"] == COMPLETED) & table["score"].notna()]
    if len(done):
        best = int(done["score"].to_numpy().argmax())
        point: dict[str, Any] = {"marker": "o", "color": ORANGE, "markersize": 8, "markeredgecolor": INK, "zorder": 5}
        axes.plot(places[done.index].iloc[best], done["score"].iloc[best], linestyle="", label="best", **point)


def _draw_best_so_far(axes: Axes, table: pd.DataFrame) -> None:
    done = table[(table["status"] == COMPLETED) & table["score"].notna()].sort_values("number")
    if len(done):
        steps = [*done["number"], table["number"].max()]
        best = done["score"].cummax()
        axes.step(steps, [*best, best.iloc[-1]], where="post", color=ORANGE, linewidth=1.4, zorder=1)


def _place(axes: Axes, values: pd.Series) -> pd.Series:
    """Returns where the values of a setting stand on its axis, which is made for them."""
    kinds = sorted(values.unique(), key=lambda value: (isinstance(value, str), value))
    if len(kinds) <= MOST_VALUES and all(len(str(kind)) <= LONGEST_VALUE for kind in kinds):
        axes.set_xticks(range(len(kinds)), [str(kind) for kind in kinds])
        axes.set_xlim(-0.5, len(kinds) - 0.5)
        return values.map(kinds.index)
    if values.min() > 0 and values.max() / values.min() > LOG_RATIO:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return values
