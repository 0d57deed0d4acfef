"""Figures say what the tables say, tolerate what is missing, and can be written."""

import io
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from roadsense.errors import InputError
from roadsense.evaluation import figures as plots
from roadsense.evaluation.plans import LOSS

POLICIES = ("policy", "unassisted", "perfect_driver")


def summary() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "policy": POLICIES,
            "episodes": 100,
            "collisions": [4, 20, 0],
            "collision_rate": [0.04, 0.2, 0.0],
            "collision_rate_low": [0.011, 0.127, 0.0],
            "collision_rate_high": [0.099, 0.292, 0.036],
        }
    )


def episodes() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"policy": np.repeat(POLICIES, 40), "base": list("ab") * 60})
    return table.assign(
        min_ttc_s=np.where(rng.random(120) < 0.2, np.inf, rng.gamma(3, 1, 120)), collision=rng.random(120) < 0.1
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


CASES = [
    (plots.plot_collision_rates, summary, 1),
    (plots.plot_min_ttc, episodes, 1),
    (plots.plot_outcomes_by_scenario, episodes, 1),
]


@pytest.mark.parametrize(("plot", "table", "n_panels"), CASES)
def test_figure_has_labelled_axes_and_can_be_written(
    plot: Callable[[pd.DataFrame], Figure], table: Callable[[], pd.DataFrame], n_panels: int
) -> None:
    given = table()
    figure = plot(given)
    file = io.BytesIO()
    figure.savefig(file, dpi=60)
    assert file.getvalue().startswith(b"\x89PNG")
    assert len(figure.axes) == n_panels
    assert all(axes.get_xlabel() or axes.get_title(loc="left") for axes in figure.axes)
    pd.testing.assert_frame_equal(given, table())


@pytest.mark.parametrize(("plot", "table", "n_panels"), CASES)
def test_table_without_rows_is_refused(
    plot: Callable[[pd.DataFrame], Figure], table: Callable[[], pd.DataFrame], n_panels: int
) -> None:
    with pytest.raises(InputError, match="Expected"):
        plot(table().iloc[:0])
    with pytest.raises(InputError, match="Expected"):
        plot(pd.DataFrame({"other": ["text"]}))


def test_the_safest_policy_is_on_top_with_its_counts() -> None:
    (axes,) = plots.plot_collision_rates(summary()).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["driver alone", "policy", "perfect driver"]
    assert [text.get_text() for text in axes.texts] == ["20 of 100", "4 of 100", "0 of 100"]


def test_ttc_curve_counts_all_episodes_of_a_policy() -> None:
    table = pd.DataFrame({"policy": "policy", "min_ttc_s": [0.0, 1.0, 2.0, np.inf]})
    (axes,) = plots.plot_min_ttc(table).axes
    curve = axes.lines[-1]
    below = dict(zip(curve.get_xdata(), curve.get_ydata(), strict=True))
    assert below[0.0] == 0.25
    assert below[2.0] == 0.75


def test_cells_hold_counts_and_intervals() -> None:
    table = pd.DataFrame({"policy": "policy", "base": ["a"] * 10 + ["b"] * 4, "collision": [True] + [False] * 13})
    assert texts(plots.plot_outcomes_by_scenario(table)) == ["1 of 10\n0% to 45%", "0 of 4\n0% to 60%"]


def conditions() -> pd.DataFrame:
    rows = [
        {"part": "loss", "curve_value": value, "policy": policy, "episodes": 40, "unsafe_rate": 0.1, "value": "bursty",
         "label": label}
        for value in (0.0, 0.4, 0.8)
        for policy in ("policy", "heard_braking_rule", "unassisted")
        for label in ("radio of the scenario", "base road")
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    ends = {f"{name}_{end}": value for name in ("unsafe_rate", "collision_rate") for end, value in
            (("low", 0.05), ("high", 0.2))}  # fmt: skip
    return table.assign(collision_rate=0.1, **ends)


def test_points_of_policies_with_equal_rates_lie_beside_each_other_and_lines_are_named_at_their_ends() -> None:
    curves = conditions().query("label == 'base road'").replace({"part": {"loss": LOSS}})
    panel = plots.plot_degradation(curves).axes[0]
    at_first = [line.get_xdata()[0] for line in panel.lines]
    assert len(set(at_first)) == 3
    assert panel.get_legend() is None
    names = {text.get_text(): text.xy[1] for text in panel.texts}
    assert {"policy", "rule: heard braking", "driver alone"} < set(names)
    heights = sorted(height for name, height in names.items() if name != "a")
    assert np.diff(heights).min() > 0.01
    assert panel.get_xlabel() == "radio messages lost (n = 40 a point)"


def test_every_value_of_a_factor_says_how_many_episodes_it_has() -> None:
    figure = plots.plot_factors(conditions().query("curve_value == 0"))
    assert [axes.get_title("left") for axes in figure.axes] == ["radio of the scenario", "base road"]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["bursty\nn = 40"]
    assert figure.axes[0].get_legend() is None


def test_names_of_many_roads_do_not_touch() -> None:
    roads = ["highway_fast", "highway_merge", "mountain_pass", "ring_road", "urban_intersection", "urban_roundabout"]
    one = conditions().query("curve_value == 0 and label == 'base road'")
    figure = plots.plot_factors(pd.concat([one.assign(value=road) for road in roads]))
    figure.draw_without_rendering()
    names = figure.axes[0].get_xticklabels()
    assert names[-1].get_text() == "urban roundabout (40)"
    starts, heights = np.array([name.get_window_extent().max[0] for name in names]), 7.5 / 72 * figure.dpi
    assert names[0].get_rotation() == 35
    assert np.diff(starts).min() * np.sin(np.radians(35)) > heights


def test_figures_are_saved_for_a_paper_with_text_as_text(tmp_path) -> None:
    paths = plots.save_figures({"rates": plots.plot_collision_rates(summary())}, tmp_path / "new")
    assert [path.name for path in paths] == ["rates.pdf"]
    assert paths[0].read_bytes().startswith(b"%PDF")
    assert b"/Type3" not in paths[0].read_bytes()  # fonts that journals refuse
    (svg,) = plots.save_figures({"rates": plots.plot_collision_rates(summary())}, tmp_path, "svg")
    assert "driver alone" in svg.read_text()
    with pytest.raises(InputError, match="expected one of pdf, svg, png, got 'gif'"):
        plots.save_figures({}, tmp_path, "gif")
