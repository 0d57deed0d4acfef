"""Learning curves of an experiment: the middle of its seeds, and their spread."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from roadsense.errors import InputError
from roadsense.pictures.style import BLUE, ORANGE, expect_columns, format_share, new_grid
from roadsense.runs.learning_plots import LEARNING_PANELS

HELD_OUT_PANELS = {
    "eval_collision_rate": "held out: collisions",
    "eval_score": "held out: score",
}
N_POINTS = 200


def plot_learning_of_seeds(metrics: pd.DataFrame) -> Figure:
    """Draws how the trainings of an experiment went: each seed thin, their median, the range between them shaded.

    A seed that is still being trained counts as far as it came.

    Args:
        metrics: as `roadsense.runs.run.read_seeds` gives them; columns that are missing are left out.
    """
    expect_columns(metrics, ["timesteps", "seed"])
    labels = {**LEARNING_PANELS, **HELD_OUT_PANELS}
    panels = [name for name in labels if name in metrics]
    if not panels:
        raise InputError(f"Expected columns of {list(labels)}, got {metrics.columns.tolist()}.")
    figure, grid = new_grid(len(panels), width=4.6, height=2.7, n_columns=2)
    for axes, name in zip(grid, panels, strict=True):
        at = "eval_timesteps" if name in HELD_OUT_PANELS else "timesteps"
        curves = [own[[at, name]].dropna().to_numpy(dtype=float) for _, own in metrics.groupby("seed")]
        curves = [curve[np.argsort(curve[:, 0], kind="stable")] for curve in curves if len(curve)]
        for curve in curves:
            axes.plot(*curve.T, color=BLUE, linewidth=0.7, alpha=0.5)
        steps = np.linspace(max(c[0, 0] for c in curves), max(c[-1, 0] for c in curves), N_POINTS)
        values = np.array(
            [np.interp(steps, curve[:, 0], curve[:, 1], right=np.nan) for curve in curves]
        )  # of those that came so far
        low, middle, high = (find(values, axis=0) for find in (np.nanmin, np.nanmedian, np.nanmax))
        axes.fill_between(steps, low, high, color=BLUE, alpha=0.15, linewidth=0)
        axes.plot(steps, middle, color=ORANGE, linewidth=2.0)
        axes.set(xlabel="environment steps", ylabel=labels[name])
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        if name.endswith(("collision_rate", "share")):
            axes.yaxis.set_major_formatter(format_share)
    return figure
