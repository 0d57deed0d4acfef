"""The learning curves show what was logged, held-out figures with their intervals, and nothing that is not there."""

import io

import numpy as np
import pandas as pd
import pytest

from roadsense.errors import InputError
from roadsense.pictures.style import ORANGE
from roadsense.runs.figures import plot_learning, plot_learning_of_seeds


def metrics() -> pd.DataFrame:
    steps = np.arange(1, 21) * 10_000
    table = pd.DataFrame({"timesteps": steps, "reward_mean": -1e5 / steps, "collision_rate": 0.2, "steps_per_s": 4e3})
    return table.assign(term_jerk=1.0, memory_main_mb=500.0, memory_workers_mb=900.0)


def judged() -> pd.DataFrame:
    held_out = {"eval_collision_rate": 0.1, "eval_collision_rate_low": 0.03, "eval_collision_rate_high": 0.25}
    row = pd.DataFrame([{"timesteps": 200_000, "eval_timesteps": 150_000, **held_out}])
    return pd.concat([metrics(), row], ignore_index=True)


def test_each_figure_has_a_panel_with_its_unit():
    figure = plot_learning(metrics())
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == [
        "reward per episode [-]",
        "episodes with a collision",
        "speed [steps/s]",
        "memory [MB]",
        "reward terms, unweighted [-]",
    ]
    assert {axes.get_xlabel() for axes in figure.axes} == {"environment steps"}
    file = io.BytesIO()
    figure.savefig(file, dpi=60)
    assert file.getvalue().startswith(b"\x89PNG")


def test_held_out_collisions_stand_at_the_steps_of_their_policy_with_the_interval():
    axes = plot_learning(judged()).axes[1]
    line = next(one for one in axes.lines if one.get_color() == ORANGE)
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (150_000, 0.1)
    (bars,) = axes.collections
    assert bars.get_segments()[0].tolist() == [[150_000, 0.03], [150_000, 0.25]]
    assert [text.get_text() for text in axes.texts] == ["b", "held out"]


def test_the_names_of_lines_lie_within_their_panel_however_long():
    figure = plot_learning(metrics().assign(term_hard_needless_braking=2.0, term_blind_following=4.0))
    figure.draw_without_rendering()
    for axes in figure.axes[-2:]:
        right = axes.get_window_extent().x1
        assert len(axes.texts) >= 3
        assert all(text.get_window_extent().x1 <= right for text in axes.texts)
        assert max(axes.get_xticks()) <= 200_000  # no steps are marked below the names


def test_a_figure_that_never_had_a_value_has_no_empty_panel():
    table = metrics().assign(min_ttc_median_s=np.inf)
    assert "smallest TTC, median [s]" not in [axes.get_ylabel() for axes in plot_learning(table).axes]


def test_what_was_not_logged_is_left_out():
    assert len(plot_learning(metrics()[["timesteps", "reward_mean"]]).axes) == 1
    with pytest.raises(InputError, match="term_"):
        plot_learning(metrics()[["timesteps"]])
    with pytest.raises(InputError, match="rows"):
        plot_learning(metrics().iloc[:0])


def test_seeds_have_no_panel_of_a_figure_that_never_had_a_value():
    seeds = pd.concat([metrics().assign(min_ttc_median_s=value, seed=n) for n, value in enumerate((np.inf, np.nan))])
    labels = [axes.get_ylabel() for axes in plot_learning_of_seeds(seeds).axes]
    assert labels == ["reward per episode [-]", "episodes with a collision", "speed [steps/s]"]
