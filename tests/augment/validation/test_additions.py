"""A chosen draw, drawn and added to a dataset: valid, apart from the other splits, and made again byte for byte."""

import json
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from roadsense.augment.bases.base import read_bases
from roadsense.augment.draws.chosen_draw import draw_chosen, fit_to_ranges
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.variations import nearest_distance, restore_variation
from roadsense.augment.rebuild import rebuild_differences
from roadsense.augment.validation.additions import Addition, add_scenario
from roadsense.augment.validation.gate import GateRules
from roadsense.errors import DatasetError, GateError, InputError
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.scenario import open_scenario


@pytest.fixture
def base(tiny_bases):
    return next(one for one in read_bases(tiny_bases, VariationRanges()) if one.name == "fast_road")


def fitting(base, **values):
    return fit_to_ranges(values, base.traffic, VariationRanges())


def test_a_chosen_draw_has_the_chosen_levels(base):
    chosen = fitting(base, density=1.17, sigma=0.4, speed_mean=0.93, convoy_shift_s=1.25, friction=0.8, v2v="bursty")
    draw = draw_chosen(chosen, base.traffic, VariationRanges())
    for name in ("density", "sigma", "speed_mean", "convoy_shift_s", "friction", "tau", "decel", "min_gap"):
        assert draw.levels[name] == pytest.approx(getattr(chosen, name), abs=1e-4)
    assert draw.levels["convoy_size"] == chosen.convoy_size
    assert (draw.v2v, draw.density_word, draw.driver_word) == ("bursty", "dense", "cautious")
    spread = VariationRanges().level_spread * 0.6
    assert all(abs(flow.density - 1.17) <= spread + 1e-4 for flow in draw.flows.values())


@pytest.mark.parametrize("density", [0.7, 1.3])
def test_the_ends_of_a_range_can_be_chosen(base, density):
    draw = draw_chosen(fitting(base, density=density), base.traffic, VariationRanges())
    assert draw.levels["density"] == pytest.approx(density, abs=1e-4)
    assert draw.density_word == ("sparse" if density < 1 else "dense")


def test_one_slider_leaves_the_rest_of_the_draw_alone(base):
    one, other = (draw_chosen(fitting(base, sigma=sigma), base.traffic, VariationRanges()) for sigma in (0.1, 0.4))
    assert one.flows == other.flows
    assert one.sumo_seed == other.sumo_seed
    assert one.levels | {"sigma": 0.4} == other.levels


def test_the_seed_decides_over_the_rest(base):
    one, same, other = (draw_chosen(fitting(base, seed=seed), base.traffic, VariationRanges()) for seed in (3, 3, 4))
    assert one == same
    assert one.flows != other.flows


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"density": 1.6}, "density: expected 0.7 to 1.3, got 1.6"),
        ({"friction": 0.5}, "friction: expected 0.7 to 1, got 0.5"),
        ({"v2v": "smoke"}, "v2v: expected a radio"),
        ({"convoy_size": 40}, "convoy_size: expected one of"),
        ({"background_shift_s": 11.0}, "background_shift_s: expected 0 to 10"),
    ],
)
def test_what_lies_outside_the_ranges_is_refused(base, values, message):
    with pytest.raises(InputError, match=message):
        draw_chosen(replace(fitting(base), **values), base.traffic, VariationRanges())


def test_what_a_manifest_holds_is_the_draw_again(small_dataset):
    record = small_dataset.scenarios[0]
    draw = restore_variation(record.variation)
    assert draw.density_word == record.density
    assert draw.types


def far_draw(dataset, base, split):
    """A choice that is far enough from the draws of the other splits."""
    ranges = VariationRanges(**dataset.settings["ranges"])
    others = [r for r in dataset.scenarios if r.base == base.name and (r.split == "train") != (split == "train")]
    places = np.array([restore_variation(record.variation).place(ranges) for record in others])
    for seed in range(50):
        rng = np.random.default_rng(seed)
        values = {name: rng.uniform(*getattr(ranges, name)) for name in ("density", "sigma", "speed_mean", "tau")}
        chosen = fit_to_ranges({**values, "seed": seed}, base.traffic, ranges)
        if nearest_distance(draw_chosen(chosen, base.traffic, ranges).place(ranges), places) > 0.2:
            return chosen
    raise AssertionError("no draw is far enough")


def test_an_added_draw_is_part_of_a_dataset_that_still_proves_itself(dataset_copy, tiny_bases, base, tmp_path):
    before = Dataset.open(dataset_copy)
    for split in ("train", "eval"):
        dataset = Dataset.open(dataset_copy)
        chosen = far_draw(dataset, base, split)
        dataset, record = add_scenario(dataset_copy, tiny_bases, Addition(base.name, chosen, split))
        assert dataset.verify() == []
        assert dataset.scenarios[-1] == record
        assert open_scenario(dataset_copy / record.config).v2v == chosen.v2v
        assert record.difficulty["min_ttc_s"] is not None
        assert record.variation["levels"]["density"] == pytest.approx(chosen.density, abs=1e-4)
    assert dataset.digest != before.digest
    assert [r.name for r in dataset.scenarios[: len(before.scenarios)]] == [r.name for r in before.scenarios]
    assert dataset.min_train_distance >= dataset.settings["min_split_distance"]
    assert record.name in (dataset_copy / "README.md").read_text()
    other = tmp_path / "others" / "broken" / "broken.sumocfg"  # not a base of the dataset
    other.parent.mkdir(parents=True)
    other.write_text("no XML")
    assert rebuild_differences(dataset, (tiny_bases, tmp_path / "others"), workers=2) == []
    listed = json.loads((dataset_copy / "manifest.json").read_text())["settings"]["chosen"]
    assert listed[record.name]["values"]["density"] == chosen.density


def test_a_draw_that_is_too_near_to_a_held_out_one_is_not_added(dataset_copy, tiny_bases, base):
    dataset = Dataset.open(dataset_copy)
    held = next(record for record in dataset.scenarios if record.split == "eval" and record.base == base.name)
    levels = {name: value for name, value in held.variation["levels"].items()}
    chosen = fit_to_ranges(
        {**levels, "v2v": held.variation["v2v"]}, base.traffic, VariationRanges(**dataset.settings["ranges"])
    )
    with pytest.raises(InputError, match=held.name):
        add_scenario(dataset_copy, tiny_bases, Addition(base.name, chosen, "train"))
    assert Dataset.open(dataset_copy).digest == dataset.digest
    assert Dataset.open(dataset_copy).verify() == []


def test_a_draw_that_fails_its_proof_is_not_added(dataset_copy, tiny_bases, base, monkeypatch):
    too_long = partial(GateRules, 4000.0)  # no road here is that long
    monkeypatch.setattr(
        "roadsense.augment.validation.generation.GateRules", lambda horizon_s, *others: too_long(*others)
    )
    chosen = far_draw(Dataset.open(dataset_copy), base, "train")
    with pytest.raises(GateError, match="the ego left the road"):
        add_scenario(dataset_copy, tiny_bases, Addition(base.name, chosen, "train"))
    assert Dataset.open(dataset_copy).verify() == []


def test_a_base_that_has_changed_is_refused(dataset_copy, tiny_bases, base, tmp_path):
    changed = shutil.copytree(tiny_bases, tmp_path / "changed")
    routes = changed / base.name / "routes.rou.xml"
    routes.write_text(routes.read_text().replace("600", "601"))
    with pytest.raises(DatasetError, match="has changed since"):
        add_scenario(dataset_copy, changed, Addition(base.name, fitting(base)))
    with pytest.raises(DatasetError, match="expected a base of"):
        add_scenario(dataset_copy, tiny_bases, Addition("moon_road", fitting(base)))
