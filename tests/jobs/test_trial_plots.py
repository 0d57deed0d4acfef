"""Figures of a search: what is drawn for many trials, for the first few, and where nothing has a score yet."""

import numpy as np
import pytest

from roadsense.errors import InputError
from roadsense.jobs.sagemaker_trials import Trial
from roadsense.jobs.trial_plots import plot_trials, settings_of, tabulate_trials


def trials(n, **last):
    rng = np.random.default_rng(0)
    found = []
    for number in range(1, n + 1):
        drawn = {
            "learning_rate": repr(10 ** rng.uniform(-4, -2.7)),
            "gamma": str(rng.choice([0.98, 0.99])),
            "fixed": "1",
        }
        found.append(Trial(number, f"tune-{number:03d}", "Completed", float(rng.normal()), drawn, 0.5))
    if last:
        found[-1] = Trial(n, f"tune-{n:03d}", settings=found[-1].settings, **last)
    return found


def test_numbers_are_numbers_in_the_table_and_trials_keep_their_order():
    found = trials(5)
    table = tabulate_trials(found)
    assert settings_of(found) == ["learning_rate", "gamma", "fixed"]
    assert table["number"].tolist() == [1, 2, 3, 4, 5]
    assert table["learning_rate"].dtype.kind == table["gamma"].dtype.kind == "f"


def test_every_setting_that_varies_has_a_panel_and_the_best_is_marked():
    found = trials(40, status="Failed", score=None, reason="no gap")
    figure = plot_trials(found, "eval_score")
    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    assert set(panels) == {"trial", "learning rate", "gamma"}
    assert panels["learning rate"].get_xscale() == "log"
    assert [tick.get_text() for tick in panels["gamma"].get_xticklabels()] == ["0.98", "0.99"]
    best = max(found[:-1], key=lambda trial: trial.score)
    (marked,) = (line for line in panels["learning rate"].lines if line.get_label() == "best")
    assert marked.get_xydata().tolist() == [[float(best.settings["learning_rate"]), best.score]]
    labels = {line.get_label() for line in panels["trial"].lines}
    assert {"to its end (39)", "failed, without a score (1)"} <= labels


def test_the_first_few_values_from_a_range_are_no_list_of_names():
    found = trials(3)
    (axes,) = (axes for axes in plot_trials(found).axes if axes.get_xlabel() == "learning rate")
    assert sorted(axes.lines[0].get_xdata()) == sorted(float(trial.settings["learning_rate"]) for trial in found)


def test_trials_without_a_score_are_drawn_too():
    figure = plot_trials(trials(1, status="InProgress", score=None))
    assert "under way (1)" in [line.get_label() for line in figure.axes[0].lines]
    with pytest.raises(InputError):
        plot_trials([])
