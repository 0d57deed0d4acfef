"""The figures of an export show its numbers."""

import numpy as np
import pandas as pd
import pytest

from roadsense.errors import InputError
from roadsense.exporting.closed_loop import FIGURES, Comparison
from roadsense.exporting.figures import plot_driving, plot_latency, plot_parity, plot_sizes
from roadsense.utils.statistics import Interval


def texts(axes):
    return [text.get_text() for text in axes.texts]


def make_comparison(variant, low, other=(0.0, -0.1, 0.1)):
    interval = Interval(low + 0.01, low, low + 0.02)
    figures = dict.fromkeys(FIGURES, Interval(*other))
    return Comparison(variant, 300, 0, 3, 2, 1, 0, interval, 1.0, figures, 0.5)


def test_sizes_are_written_at_their_bars():
    sizes = pd.DataFrame(
        {
            "file": ["policy.tflite", "policy_int8.tflite"],
            "variant": ["float32", "int8"],
            "size_bytes": [39_680, 17_936],
            "arena_bytes": [5168, 5424],
        }
    )
    bytes_axes, arena_axes = plot_sizes(sizes).axes
    assert texts(bytes_axes) == ["a", "39.7", "17.9"]
    assert texts(arena_axes) == ["b", "5.2", "5.4"]
    assert [bar.get_width() for bar in bytes_axes.patches] == [39.68, 17.936]
    with pytest.raises(InputError, match="size_bytes"):
        plot_sizes(sizes.drop(columns="size_bytes"))


def test_parity_holds_every_observation_those_that_are_equal_too():
    trained = np.linspace(0, 1, 200, dtype=np.float32)
    actions = pd.DataFrame({"trained": trained, "float32": trained, "int8": trained + np.float32(0.02)})
    (axes,) = plot_parity(actions, {"float32": 1e-5, "int8": 0.25}).axes
    assert axes.get_ylabel() == "observations below (n = 200)"
    shares = {line.get_label(): line.get_ydata() for line in axes.lines if line.get_label() in ("float32", "int8")}
    assert all(share[-1] == 1.0 and len(share) == 201 for share in shares.values())
    assert [line.get_xdata()[0] for line in axes.lines[1::2]] == [1e-5, 0.25]


def test_latency_says_how_many_times_as_fast():
    latency = pd.DataFrame({"runtime": ["SB3", "LiteRT int8"], "p50_us": [200.0, 5.0], "p99_us": [300.0, 9.0]})
    (axes,) = plot_latency(latency).axes
    assert texts(axes) == ["200.0 us", "5.0 us, 40 times as fast"]


def test_driving_has_a_panel_for_each_figure_and_marks_what_is_worse():
    figure = plot_driving([make_comparison("float32", -0.01), make_comparison("int8", 0.005)])
    assert len(figure.axes) == 1 + len(FIGURES)
    rates = figure.axes[0]
    assert [tuple(line.get_xdata()) for line in rates.lines[1::2]] == [(-0.01, 0.01), (0.005, 0.025)]
    assert texts(rates) == ["a", "worse"]
    assert texts(plot_driving([]).axes[0]) == ["The exported policy was not driven."]


def test_files_that_differ_in_the_last_digits_are_not_marked_as_worse():
    figure = plot_driving([make_comparison("float32", -0.01, (4e-7, 3e-7, 5e-7))])
    assert not any("worse" in texts(axes) for axes in figure.axes)
    worse = plot_driving([make_comparison("float32", -0.01, (0.3, 0.2, 0.4))])
    assert ["worse" in texts(axes) for axes in worse.axes] == [False, True, True, True]
