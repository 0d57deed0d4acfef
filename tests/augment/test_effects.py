"""Each variation changes what it says it changes, and nothing else is moved along with it."""

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from roadsense.augment import figures
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import AROUND
from roadsense.augment.draws.variations import VariationRanges
from roadsense.augment.preview.effects import measure_effects, pin_ranges
from roadsense.errors import InputError

NAMES = ("density", "sigma", "speed_mean", "background_shift_s", "convoy_shift_s")
Pair = tuple[pd.DataFrame, pd.DataFrame]


@pytest.fixture(scope="module")
def effects(tiny_bases: Path) -> pd.DataFrame:
    return measure_effects(tiny_bases / "fast_road", NAMES, VariationRanges())


def pair(effects: pd.DataFrame, name: str) -> Pair:
    own = effects[effects["variation"] == name]
    return own[own["end"] == "lowest"], own[own["end"] == "highest"]


def test_every_variation_is_simulated_at_both_ends(effects: pd.DataFrame) -> None:
    found = effects.groupby(["variation", "end"])["setting"].unique().map(list).to_dict()
    ranges = VariationRanges()
    for name in NAMES:
        low, high = getattr(ranges, name)
        assert found[name, "lowest"] == [low]
        assert found[name, "highest"] == [high]


def test_density_brings_more_vehicles(effects: pd.DataFrame) -> None:
    low, high = pair(effects, "density")
    assert high["vehicle"].nunique() > 1.3 * low["vehicle"].nunique()


def test_sigma_makes_the_convoy_unsteady(effects: pd.DataFrame) -> None:
    low, high = (end.query("is_convoy and vehicle != 'V001' and time_s > 30") for end in pair(effects, "sigma"))
    assert high["acceleration_mps2"].std() > 1.5 * low["acceleration_mps2"].std()


def test_speed_mean_makes_the_traffic_faster(effects: pd.DataFrame) -> None:
    low, high = (end.query("not is_convoy")["speed_mps"].median() for end in pair(effects, "speed_mean"))
    assert high > 1.2 * low


def test_shifts_move_entries_by_their_seconds(effects: pd.DataFrame) -> None:
    low, high = (end.query("is_convoy")["time_s"].min() for end in pair(effects, "convoy_shift_s"))
    assert high - low == pytest.approx(6.0, abs=0.5)
    low, high = (end.query("not is_convoy")["time_s"].min() for end in pair(effects, "background_shift_s"))
    assert 1.0 <= high - low <= 10.0


def test_the_convoy_is_placed_ahead_of_its_ego_and_drives_on(effects: pd.DataFrame) -> None:
    low, _ = pair(effects, "density")
    convoy = low[low["is_convoy"]]
    start = convoy.groupby("vehicle")["way_m"].first()
    assert (start - start["V001"]).tolist()[:3] == pytest.approx([0.0, 40.0, 80.0], rel=0.1)
    assert (convoy.groupby("vehicle")["way_m"].diff().dropna() >= 0).all()


def test_the_same_call_gives_the_same_table(effects: pd.DataFrame, tiny_bases: Path) -> None:
    again = measure_effects(tiny_bases / "fast_road", NAMES[:1], VariationRanges())
    pd.testing.assert_frame_equal(again, effects[effects["variation"] == NAMES[0]])


def test_only_the_named_range_leaves_its_middle() -> None:
    ranges = VariationRanges()
    low, high = pin_ranges(ranges, "sigma", "lowest"), pin_ranges(ranges, "sigma", "highest")
    assert {field.name for field in fields(ranges) if getattr(low, field.name) != getattr(high, field.name)} == {
        "sigma"
    }
    assert low.sigma == (0.0, 0.0)
    assert high.sigma == (0.5, 0.5)
    assert low.density == (1.0, 1.0)
    assert low.speed_cut == ranges.speed_cut


@pytest.mark.parametrize("name", ["speed_cut", "weather"])
def test_what_is_no_range_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(InputError, match=rf"Expected a variation of \[.*'background_shift_s', .*got '{name}'"):
        pin_ranges(VariationRanges(), name, "lowest")


def test_the_figure_leaves_out_what_changes_no_traffic(tiny_bases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(figures, "measure_effects", lambda _folder, names, _ranges: asked.extend(names))
    monkeypatch.setattr(figures.plots, "plot_effects", lambda _table: None)
    figures.plot_effects(GenConfig(tiny_bases))
    assert "density" in asked
    assert not set(asked) & set(AROUND)
