"""Figures of a dataset: coverage, effect of each variation, difficulty. Each takes a table and returns a figure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from roadsense.pictures.style import BLUE, GREEN, INK, ORANGE, PURPLE, RED, expect_columns, format_share, new_grid
from roadsense.scenarios.scenario import EGO_ID

N_COLUMNS, MANY_PANELS = 3, 12
MAX_WORDS, TENTHS = 10, 10
"""Few draws get few bins: in narrow bins even perfectly even draws look uneven."""

PANEL_WIDTH_IN, PANEL_HEIGHT_IN = 3.4, 2.5
TICK_STEPS = [1, 2, 2.5, 5, 10]
LEVELS = ("density_level", "driver_level")
COLOURS, MARKERS, LINES = (BLUE, ORANGE, GREEN, PURPLE), ("o", "D", "s", "^"), ("-", "-", "--", ":")
"""Colours, markers and lines of the splits, in their order."""

LABELS = {
    "density_level": "density level (0 sparse, 1 dense)",
    "driver_level": "driver level (0 cautious, 1 aggressive)",
    "convoy_shift_s": "the convoy departs later by [s]",
    "levels.convoy_shift_s": "the convoy departs later by [s]",
    "levels.convoy_size": "cars in the convoy",
    "levels.convoy_spacing": "factor on the convoy's spacing [-]",
    "levels.heavy_share": "factor on the share of heavy vehicles [-]",
    "levels.friction": "friction of the road (1 is dry) [-]",
    "v2v": "radio",
    "sensors": "sensors",
    "surroundings.penetration": "share of other traffic with a radio [-]",
    "surroundings.cars_behind": "cars of the convoy behind the ego",
    "surroundings.radio_cars": "cars on other roads that are heard",
    "surroundings.echo_share": "share of own messages that come back [-]",
    "surroundings.relay_share": "share of steps with a relayed message [-]",
    "surroundings.decoy_probability": "share of episodes with a decoy [-]",
    "flows.density": "factor on a flow's rate [-]",
    "flows.shift_s": "a flow begins later by [s]",
    "flows.share": "factor on a flow's rate by the mix [-]",
    "types.sigma": "sigma of a vehicle type [-]",
    "types.tau": "factor on a type's tau [-]",
    "types.accel": "factor on a type's acceleration [-]",
    "types.decel": "factor on a type's deceleration [-]",
    "types.min_gap": "factor on a type's minimum gap [-]",
    "types.speed_mean": "mean speedFactor of a type [-]",
    "types.speed_dev": "deviation of a type's speedFactor [-]",
}
UNITS = {"_s": "s", "_m": "m", "_mps": "m/s", "_mps2": "m/s2", "_vph": "vehicles/h", "_deg": "deg"}
ENDS = {"lowest": (BLUE, "-"), "highest": (RED, "--")}
"""Colour and line style of both ends of a variation."""

EFFECT_PANELS = {
    "vehicles on the road": "time [s]",
    "traffic's speed: share below": "speed [m/s]",
    "convoy's acceleration: share below": "acceleration [m/s2]",
    "convoy's cars, ahead of the ego [m]": "time [s]",
}


def label_quantity(quantity: str) -> str:
    """Returns the axis label of a drawn quantity: in words if they are known, else its name and unit."""
    if quantity in LABELS:
        return LABELS[quantity]
    stem, _, last = quantity.rpartition("_")
    unit = UNITS.get(f"_{last}") if stem else None
    name = stem if unit else quantity
    return f"{name.replace('_', ' ').replace('.', ': ')} [{unit or '-'}]"


def plot_draws(draws: pd.DataFrame) -> Figure:
    """Draws how the splits cover the ranges: density level against driver level, and the distribution of each quantity.

    A panel's title says which share of the tenths of a range holds a draw.

    Args:
        draws: table of `roadsense.augment.card.dataset_tables.tabulate_draws`.
    """
    expect_columns(draws, ["scenario", "split", "quantity", "value"])
    splits, has_levels = list(dict.fromkeys(draws["split"])), set(LEVELS) <= set(draws["quantity"])
    quantities = _choose_panels(list(dict.fromkeys(draws["quantity"])), has_levels)
    n_panels = len(quantities) + has_levels
    n_columns = N_COLUMNS + (n_panels > MANY_PANELS)
    figure, grid = new_grid(n_panels, PANEL_WIDTH_IN, PANEL_HEIGHT_IN, n_columns)
    if has_levels:
        _draw_levels(grid[0], draws, splits)
    for axes, quantity in zip(grid[has_levels:], quantities, strict=True):
        own = draws[draws["quantity"] == quantity]
        values = {split: own.loc[own["split"] == split, "value"].tolist() for split in splits}
        is_counted = _is_counted(own["value"])
        (_draw_words if is_counted else _draw_shares_below)(axes, values)
        label = "share of draws" if is_counted else "share of draws below"
        axes.set(xlabel=label_quantity(quantity), ylabel=label, ylim=(0, None))
        axes.yaxis.set_major_formatter(format_share)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=TICK_STEPS))
    counts = draws.groupby("split")["scenario"].nunique()
    _add_legend(figure, grid[-1], {split: f"{split}: {counts[split]} scenarios" for split in splits})
    return figure


def _choose_panels(quantities: Sequence[str], has_levels: bool) -> list[str]:
    # Left out because they would be shown twice: levels with their own panel, and levels of flows and types.
    finer = {quantity.partition(".")[2] for quantity in quantities if quantity.startswith(("flows.", "types."))}
    twice = {f"levels.{name}" for name in finer} | (set(LEVELS) if has_levels else set())
    return [quantity for quantity in quantities if quantity not in twice]


def _is_counted(values: pd.Series) -> bool:
    # Words or a few whole numbers.
    if any(isinstance(value, str) for value in values):
        return True
    return values.nunique() <= MAX_WORDS and all(float(value).is_integer() for value in values)


def plot_difficulty(difficulty: pd.DataFrame) -> Figure:
    """Draws the smallest time to collision of every scenario, by base and split; 0 is a collision.

    Args:
        difficulty: table of `tabulate_difficulty`; rows without a figure are left out.
    """
    expect_columns(difficulty, ["split", "base", "min_ttc_s"])
    bases, splits = sorted(set(difficulty["base"])), list(dict.fromkeys(difficulty["split"]))
    measured = difficulty.astype({"min_ttc_s": float}).dropna(subset=["min_ttc_s"])
    figure, (axes,) = new_grid(1, 7.6, 0.9 + 0.62 * len(bases), 1)
    for place, split in enumerate(splits):
        own = measured[measured["split"] == split]
        rows = own["base"].map(bases.index) + 0.2 * (place - (len(splits) - 1) / 2)
        axes.plot(own["min_ttc_s"], rows, label=split, markersize=5.5, alpha=0.75, **_marker(place))
    for row, base in enumerate(bases):
        median_s = measured.loc[measured["base"] == base, "min_ttc_s"].median()
        axes.plot([median_s] * 2, [row - 0.35, row + 0.35], color=INK, linewidth=1.6, zorder=1)
    axes.set_yticks(range(len(bases)), [base.replace("_", " ") for base in bases])
    axes.set(xlabel="smallest time to collision [s]: 0 is a collision, the bar is the median of a road")
    axes.invert_yaxis()
    axes.set_xlim(left=-0.03)
    counts = measured["split"].value_counts()
    _add_legend(figure, axes, {split: f"{split}: {counts.get(split, 0)} scenarios" for split in splits})
    return figure


def plot_effects(effects: pd.DataFrame) -> Figure:
    """Draws the effect of each variation, one row each: its lowest value (blue) and its highest (orange, dashed).

    Args:
        effects: table of `roadsense.augment.preview.effects.measure_effects`.
    """
    expect_columns(effects, ["variation", "end", "setting", "time_s", "vehicle", "speed_mps", "way_m"])
    names = list(dict.fromkeys(effects["variation"]))
    panels = (_draw_counts, _draw_speeds, _draw_accelerations, _draw_ways)
    figure, grid = new_grid(len(panels) * len(names), 3.1, 2.3, len(panels), letters=False)
    for place, axes in enumerate(grid):
        row, column = divmod(place, len(panels))
        own = effects[effects["variation"] == names[row]]
        for end, (colour, line) in ENDS.items():
            panels[column](axes, own[own["end"] == end], {"color": colour, "linestyle": line, "linewidth": 1.4})
        title, x_label = list(EFFECT_PANELS.items())[column]
        axes.set_title(title, fontsize=9, loc="left")
        axes.set_xlabel(x_label)
        if column == 0:
            _name_ends(axes, own, names[row])
        axes.set_ylim(bottom=0)
    for column in range(len(panels)):
        _share_scale(grid[column :: len(panels)])
    return figure


def _share_scale(column: Sequence[Axes]) -> None:
    # One scale for each column, so that its rows can be compared.
    limits = np.array([axes.get_xlim() for axes in column])
    for axes in column:
        axes.set_xlim(limits[:, 0].min(), limits[:, 1].max())


def _name_ends(axes: Axes, own: pd.DataFrame, name: str) -> None:
    for end, (colour, line) in ENDS.items():
        setting = own.loc[own["end"] == end, "setting"].iloc[0]
        axes.plot([], [], color=colour, linestyle=line, label=f"{setting:g}")
    axes.legend(fontsize=8, frameon=False, loc="lower right")
    axes.set_ylabel(re.sub("_s$", " [s]", name).replace("_", " "), fontweight="bold")


def _draw_counts(axes: Axes, run: pd.DataFrame, style: Mapping[str, Any]) -> None:
    axes.plot(run.groupby("time_s")["vehicle"].nunique(), **style)


def _draw_speeds(axes: Axes, run: pd.DataFrame, style: Mapping[str, Any]) -> None:
    _draw_share_below(axes, run.loc[~run["is_convoy"], "speed_mps"], style)


def _draw_accelerations(axes: Axes, run: pd.DataFrame, style: Mapping[str, Any]) -> None:
    _draw_share_below(axes, run.loc[run["is_convoy"], "acceleration_mps2"], style)
    axes.set_xlim(-3, 3)


def _draw_ways(axes: Axes, run: pd.DataFrame, style: Mapping[str, Any]) -> None:
    ways = run[run["is_convoy"]].pivot(index="time_s", columns="vehicle", values="way_m")
    for car in sorted(set(ways) - {EGO_ID}, key=str):
        axes.plot(ways[car] - ways[EGO_ID], **{**style, "linewidth": 1.0})


def _draw_share_below(axes: Axes, values: pd.Series, style: Mapping[str, Any]) -> None:
    axes.plot(np.sort(values), np.linspace(0, 1, len(values)), **style)
    axes.yaxis.set_major_formatter(format_share)


def _draw_levels(axes: Axes, draws: pd.DataFrame, splits: Sequence[str]) -> None:
    levels = draws[draws["quantity"].isin(LEVELS)].astype({"value": float})
    points = levels.pivot(index=["split", "scenario"], columns="quantity", values="value")
    for place, split in enumerate(splits):
        own = points.loc[split]
        axes.plot(own[LEVELS[0]], own[LEVELS[1]], markersize=4.5, alpha=0.8, clip_on=False, **_marker(place))
    axes.set(xlabel=label_quantity(LEVELS[0]), ylabel=label_quantity(LEVELS[1]), xlim=(0, 1), ylim=(0, 1))
    axes.yaxis.label.set_fontsize(8)
    thirds = (0, 1 / 3, 2 / 3, 1)
    axes.set_xticks(thirds, ["0", "1/3", "2/3", "1"])
    axes.set_yticks(thirds, ["0", "1/3", "2/3", "1"])


def _draw_shares_below(axes: Axes, values: Mapping[str, Sequence[float]]) -> None:
    values = {split: own for split, own in values.items() if len(own)}  # a base held out has no draw to train on
    everything = np.concatenate([np.asarray(own, float) for own in values.values()])
    low, high = float(everything.min()), float(everything.max())
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=TICK_STEPS))
    for place, (split, own) in enumerate(values.items()):
        axes.ecdf(own, color=COLOURS[place % 4], linestyle=LINES[place % 4], linewidth=1.8, label=split)
    covered = [f"{split} {cover_share(own, low, high):.0%}" for split, own in values.items()]
    axes.set_title(f"range covered: {', '.join(covered)}", fontsize=8, loc="left", color=INK)


def cover_share(values: Sequence[float], low: float, high: float) -> float:
    """Returns the share of the tenths of a range that hold a value, 0 to 1.

    Args:
        values: values within the range.
        low: lower end of the range.
        high: upper end of the range, above `low`.
    """
    counts, _ = np.histogram(values, TENTHS, (low, high))
    return float((counts > 0).mean())


def _draw_words(axes: Axes, values: Mapping[str, Sequence[Any]]) -> None:
    words = sorted({_word(value) for own in values.values() for value in own})
    width = 0.8 / len(values)
    for place, (split, own) in enumerate(values.items()):
        shares = [sum(_word(value) == word for value in own) / max(len(own), 1) for word in words]
        at = np.arange(len(words)) + width * (place - (len(values) - 1) / 2)
        axes.bar(at, shares, width, color=COLOURS[place % 4], alpha=0.35 if place == 0 else 0.8, label=split)
    axes.set_xticks(range(len(words)), [word.replace("_", "\n") for word in words])


def _word(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _marker(place: int) -> dict[str, Any]:
    return {"linestyle": "", "marker": MARKERS[place % 4], "color": COLOURS[place % 4], "markeredgewidth": 0}


def _add_legend(figure: Figure, axes: Axes, labels: Mapping[str, str]) -> None:
    handles, splits = axes.get_legend_handles_labels()
    named = [labels[split] for split in splits]
    figure.legend(handles, named, loc="outside upper center", ncols=len(named), frameon=False, fontsize=9)
