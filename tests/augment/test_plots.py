"""Figures of augmentation show every split, every quantity and every scenario there is."""

import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from roadsense.augment.card.dataset_tables import tabulate_difficulty, tabulate_draws
from roadsense.augment.card.plots import cover_share, label_quantity, plot_difficulty, plot_draws, plot_effects
from roadsense.errors import InputError
from roadsense.scenarios.dataset import Dataset


def draws() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [
        {"scenario": f"{split}{number}", "split": split, "base": "road", "quantity": quantity, "value": value}
        for split, n in (("train", 12), ("eval", 5), ("eval_wide", 5))
        for number in range(n)
        for quantity, value in (
            ("density_level", rng.random()),
            ("driver_level", rng.random()),
            ("convoy.spacing_m", 20 + 10 * rng.random()),
            ("radio", ["esp_now", "bursty"][number % 2]),
            ("levels.sigma", rng.random()),
            ("types.sigma", rng.random()),
            ("levels.convoy_size", 3 + number % 3),
        )
    ]
    return pd.DataFrame(rows)


def effects() -> pd.DataFrame:
    rows = [
        {
            "variation": name,
            "end": end,
            "setting": setting,
            "time_s": time_s,
            "vehicle": car,
            "is_convoy": car[0] == "V",
        }
        for name in ("tau", "sigma")
        for end, setting in (("lowest", 0.5), ("highest", 1.5))
        for time_s in np.arange(0.0, 5.0, 0.5)
        for car in ("V001", "V002", "car")
    ]
    return pd.DataFrame(rows).assign(speed_mps=20.0, acceleration_mps2=0.1, way_m=lambda table: 20 * table["time_s"])


def png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, dpi=50)
    return file.getvalue()


def test_every_quantity_has_a_panel_with_its_unit_and_every_split_is_named() -> None:
    figure = plot_draws(draws())
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "density level (0 sparse, 1 dense)",
        "convoy: spacing [m]",
        "radio [-]",
        "sigma of a vehicle type [-]",
        "cars in the convoy",
    ]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "train: 12 scenarios",
        "eval: 5 scenarios",
        "eval_wide: 5 scenarios",
    ]
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["bursty", "esp\nnow"]
    assert [text.get_text() for text in figure.axes[4].get_xticklabels()] == ["3", "4", "5"]
    assert png(figure).startswith(b"\x89PNG")


def test_every_scenario_is_a_point_of_the_levels() -> None:
    levels = plot_draws(draws()).axes[0]
    assert [len(line.get_xdata()) for line in levels.lines] == [12, 5, 5]


def test_a_distribution_shows_every_draw_and_its_title_the_share_of_the_range() -> None:
    table = draws()[lambda table: table["split"] == "train"]
    panel = plot_draws(table).axes[1]
    (line,) = panel.lines
    values = table.loc[table["quantity"] == "convoy.spacing_m", "value"].astype(float)
    assert set(line.get_xdata()) == set(values)
    assert line.get_ydata()[-1] == 1.0
    assert panel.get_title("left").startswith("range covered: train ")
    assert [text.get_text() for text in panel.texts] == ["b"]


def test_a_range_is_covered_by_the_tenths_that_hold_a_value() -> None:
    assert cover_share([0.0, 0.05, 0.35, 1.0], 0.0, 1.0) == pytest.approx(0.3)
    assert cover_share(np.linspace(2, 4, 30).tolist(), 2.0, 4.0) == 1.0


def test_quantities_that_nobody_named_have_a_label_too() -> None:
    assert label_quantity("types.tau_s") == "types: tau [s]"
    assert label_quantity("friction") == "friction [-]"
    assert label_quantity("gap_m") == "gap [m]"


def test_a_real_dataset_can_be_drawn(small_dataset: Dataset) -> None:
    table = tabulate_draws(small_dataset)
    assert set(table["scenario"]) == {record.name for record in small_dataset.scenarios}
    assert {"density_level", "flows.density", "types.sigma"} <= set(table["quantity"])
    assert table["quantity"].str.endswith("convoy_shift_s").sum() == len(small_dataset.scenarios)
    assert not {"sumo_seed", "speed_cut", "point"} & set(table["quantity"])
    assert table[table["quantity"] == "flows.density"]["value"].between(0.7, 1.3).all()
    assert len(png(plot_draws(table))) > 5000


def test_difficulty_shows_each_measured_scenario_by_road_and_split(small_dataset: Dataset) -> None:
    table = tabulate_difficulty(small_dataset, workers=2)
    assert len(table) == len(small_dataset.scenarios)
    (axes,) = plot_difficulty(table).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["fast road", "slow road"]
    n_points = {line.get_label(): len(line.get_xdata()) for line in axes.lines[:2]}
    measured = table.dropna(subset=["min_ttc_s"])
    assert n_points == measured.groupby("split").size().to_dict()


def test_a_scenario_without_a_hazard_is_left_out_of_the_figure() -> None:
    table = pd.DataFrame({"split": "train", "base": "road", "min_ttc_s": [1.0, None, 2.0]})
    (axes,) = plot_difficulty(table).axes
    assert list(axes.lines[0].get_xdata()) == [1.0, 2.0]


def test_effects_have_a_row_for_each_variation_whatever_its_name() -> None:
    figure = plot_effects(effects())
    assert len(figure.axes) == 2 * 4
    legends = [axes.get_legend() for axes in figure.axes[::4]]
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["tau", "sigma"]
    assert all(axes.get_title("left") and axes.get_xlabel() for axes in figure.axes)
    assert [text.get_text() for text in legends[0].get_texts()] == ["0.5", "1.5"]
    assert png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("plot", [plot_draws, plot_difficulty, plot_effects])
def test_tables_without_rows_or_columns_are_refused(plot) -> None:
    with pytest.raises(InputError, match="Expected a table with rows"):
        plot(pd.DataFrame({"split": []}))
