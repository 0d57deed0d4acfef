"""Curves of several seeds say what the table says."""

import io

import numpy as np
import pandas as pd
import pytest

from roadsense.errors import InputError
from roadsense.runs.figures import plot_learning_of_seeds


def metrics():
    steps = np.arange(1, 11) * 1000.0
    tables = [pd.DataFrame({"timesteps": steps, "reward_mean": float(seed), "seed": seed}) for seed in (0, 1, 5)]
    return pd.concat(tables, ignore_index=True)


def test_the_middle_and_the_range_of_the_seeds_are_drawn():
    figure = plot_learning_of_seeds(metrics())
    (axes,) = figure.axes
    assert [line.get_ydata()[0] for line in axes.lines] == [0, 1, 5, 1]
    band = axes.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0, 5)
    file = io.BytesIO()
    figure.savefig(file, dpi=60)
    assert file.getvalue().startswith(b"\x89PNG")


def test_evaluations_are_drawn_where_there_are_some():
    table = metrics()
    table.loc[::5, "eval_timesteps"] = table["timesteps"]
    table.loc[::5, "eval_collision_rate"] = 0.1
    assert len(plot_learning_of_seeds(table).axes) == 2


def test_a_table_without_seeds_is_refused():
    with pytest.raises(InputError, match="seed"):
        plot_learning_of_seeds(metrics().drop(columns="seed"))
