"""What is drawn: within its range, evenly over it, the same from the same seed, and worth its words."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.augment.draws.ranges import AROUND, VariationRanges
from roadsense.augment.draws.stratified_sampling import deal_strata
from roadsense.augment.draws.traffic import FOLLOWING, LEVELS, Traffic, mix_factors
from roadsense.augment.draws.variations import Variation, draw_around, draw_variations, nearest_distance, redraw
from roadsense.scenarios.records import DENSITY_WORDS, DRIVER_WORDS

TRAFFIC = Traffic(
    headways_s={"busy": 4.0, "calm": 60.0, "single": math.inf},
    types=("car", "convoy_car", "ego", "truck"),
    convoy_types=frozenset({"convoy_car", "ego"}),
    ego_types=frozenset({"ego"}),
    heavy_flows=frozenset({"calm"}),
    most_spacing={2: 4.0, 3: 2.0, 4: 1.1, 5: 1.0},
)
RANGES = VariationRanges()


def draw(n: int, seed: int = 0, ranges: VariationRanges = RANGES, traffic: Traffic = TRAFFIC) -> list[Variation]:
    return draw_variations(n, traffic, ranges, np.random.default_rng(seed))


def within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


@pytest.mark.parametrize("n", [1, 5, 16])
def test_every_level_has_one_draw_in_each_part_of_its_range(n: int) -> None:
    draws = draw(n)
    for name in ("sigma", *FOLLOWING, "convoy_shift_s", "heavy_share"):
        low, high = getattr(RANGES, name)
        parts = sorted(int((one.levels[name] - low) / (high - low) * n) for one in draws)
        assert all(abs(part - i) <= 1 for i, part in enumerate(parts)), name  # rounding may cross one border
        assert len(set(parts)) >= n - 1


def test_values_cover_their_ranges_evenly() -> None:
    draws = draw(400)
    kinds = [kind for one in draws for kind in one.types.values()]
    columns = {
        "density": [flow.density for one in draws for flow in one.flows.values()],
        "speed_mean": [kind.speed_mean for kind in kinds],
        "convoy_shift_s": [one.levels["convoy_shift_s"] for one in draws],
        **{name: [getattr(kind, name) for kind in kinds if kind.sigma is not None] for name in ("sigma", *FOLLOWING)},
    }
    for name, values in columns.items():
        share, _ = np.histogram(values, bins=5, range=getattr(RANGES, name))
        assert np.all(np.abs(share / len(values) - 0.2) < 0.04), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 12), spread=st.floats(0, 0.5))
def test_every_value_is_within_its_range(seed: int, n: int, spread: float) -> None:
    for one in draw(n, seed, VariationRanges(level_spread=spread)):
        assert set(one.levels) == set(LEVELS)
        assert all(within(value, getattr(RANGES, name)) for name, value in one.levels.items())
        assert one.levels["convoy_spacing"] <= TRAFFIC.most_spacing[one.levels["convoy_size"]]
        for name, flow in one.flows.items():
            assert within(flow.density, RANGES.density)
            assert within(flow.shift_s, RANGES.background_shift_s)
            assert flow.shift_s <= TRAFFIC.headways_s[name] / flow.density / flow.share + 0.01
        for name, kind in one.types.items():
            dev_range = RANGES.convoy_speed_dev if name in TRAFFIC.convoy_types else RANGES.speed_dev
            assert within(kind.speed_mean, RANGES.speed_mean)
            assert within(kind.speed_dev, dev_range)
            for key in ("sigma", *FOLLOWING):
                value = getattr(kind, key)
                assert (value is None) == (name == "ego")
                assert value is None or within(value, getattr(RANGES, key))


def test_the_convoy_shares_one_speed_distribution_and_background_types_do_not() -> None:
    for one in draw(20):
        ego, car = one.types["ego"], one.types["convoy_car"]
        assert (ego.speed_mean, ego.speed_dev) == (car.speed_mean, car.speed_dev)
        assert len({kind.speed_mean for kind in one.types.values()}) == 3


def test_words_are_the_thirds_of_the_levels_and_order_the_values() -> None:
    draws = draw(300)
    density = {word: [] for word in DENSITY_WORDS}
    speed = {word: [] for word in DRIVER_WORDS}
    for one in draws:
        assert one.density_word == DENSITY_WORDS[int(one.density_level * 3)]
        density[one.density_word].append(np.mean([flow.density for flow in one.flows.values()]))
        speed[one.driver_word].append(np.mean([kind.speed_mean for kind in one.types.values()]))
    for values in (density, speed):
        assert [len(group) for group in values.values()] == [100, 100, 100]
        means = [np.mean(group) for group in values.values()]
        assert means == sorted(means)
    assert max(density["sparse"]) < min(density["dense"])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), counts=st.lists(st.integers(0, 40), min_size=1, max_size=8))
def test_words_come_evenly_in_every_base_and_over_all(seed: int, counts: list[int]) -> None:
    dealt = deal_strata(counts, np.random.default_rng(seed))
    words = [[tuple(int(sum(part) / 2 * 3) for part in own) for own in base] for base in dealt]
    assert [len(base) for base in words] == counts
    pairs = [(i, j) for i in range(3) for j in range(3)]
    for base in words:
        found = Counter(base)
        assert max(found[pair] for pair in pairs) - min(found[pair] for pair in pairs) <= 1
    for group in (*words, [pair for base in words for pair in base]):
        for axis in (0, 1):
            found = Counter(pair[axis] for pair in group)
            assert max(found[i] for i in range(3)) - min(found[i] for i in range(3)) <= 1


@pytest.mark.parametrize("n", [1, 2, 4, 5, 7, 16, 200])
def test_pairs_of_words_come_evenly_over_five_bases(n: int) -> None:
    for seed in range(20):
        dealt = deal_strata([n] * 5, np.random.default_rng(seed))
        found = Counter(tuple(int(sum(part) / 2 * 3) for part in own) for base in dealt for own in base)
        counts = [found[i, j] for i in range(3) for j in range(3)]
        assert max(counts) - min(counts) <= 2


@pytest.mark.parametrize("n", [4, 16, 100])
def test_draws_of_one_word_share_its_third_in_equal_parts(n: int) -> None:
    for axis in (0, 1):
        parts = sorted(strata[axis] for strata in deal_strata([n], np.random.default_rng(1))[0])
        assert parts[0][0] == 0.0
        assert parts[-1][1] == pytest.approx(1.0)
        assert all(before[1] == pytest.approx(after[0]) for before, after in pairwise(parts))


def test_same_seed_same_draws_and_other_seed_other_draws() -> None:
    assert draw(6, 3) == draw(6, 3)
    assert draw(6, 3) != draw(6, 4)
    assert len({one.sumo_seed for one in draw(50)}) == 50


def test_redraw_keeps_the_words_and_their_parts_and_changes_the_rest() -> None:
    rng = np.random.default_rng(1)
    strata = deal_strata([8], rng)[0]
    for one, own in zip(draw_variations(8, TRAFFIC, RANGES, rng, strata), strata, strict=True):
        again = redraw(own, TRAFFIC, RANGES, rng)
        assert (again.density_word, again.driver_word) == (one.density_word, one.driver_word)
        assert within(again.density_level, own.density)
        assert within(again.driver_level, own.driver)
        assert nearest_distance(again.place(RANGES), one.place(RANGES)[None]) > 0.1


def test_distance_counts_every_varied_quantity_once_and_in_parts_of_its_range() -> None:
    first, second = draw(2)
    distance = nearest_distance(first.place(RANGES), second.place(RANGES)[None])
    parts = [(first.levels[k] - second.levels[k]) / np.diff(getattr(RANGES, k))[0] for k in LEVELS]
    assert distance == pytest.approx(math.sqrt(sum(part**2 for part in parts) / len(LEVELS)))
    both = np.array([first.place(RANGES), second.place(RANGES)])
    assert nearest_distance(first.place(RANGES), both) == 0.0
    fixed = VariationRanges(**{name: (1.0, 1.0) for name in ("density", *FOLLOWING)})
    assert len(draw(1, ranges=fixed)[0].place(fixed)) == len(LEVELS) - 5


def test_a_range_of_one_value_gives_that_value() -> None:
    ranges = VariationRanges(density=(1.1, 1.1), convoy_shift_s=(0.0, 0.0), wet_share=0.0, convoy_size=(4, 4))
    for one in draw(5, ranges=ranges):
        assert {flow.density for flow in one.flows.values()} == {1.1}
        assert (one.levels["convoy_shift_s"], one.levels["friction"], one.levels["convoy_size"]) == (0.0, 1.0, 4)


def test_a_share_of_the_roads_is_wet() -> None:
    frictions = [one.levels["friction"] for one in draw(200)]
    assert sum(friction < 1.0 for friction in frictions) == pytest.approx(60, abs=2)
    assert min(frictions) < 0.72


def test_radios_are_dealt_evenly_and_none_is_said_without_names() -> None:
    assert Counter(one.v2v for one in draw(40)) == {name: 10 for name in RANGES.v2v}
    assert {one.v2v for one in draw(5, ranges=VariationRanges(v2v=()))} == {None}


def test_convoy_sizes_are_those_the_base_has_room_for() -> None:
    assert Counter(one.levels["convoy_size"] for one in draw(30)) == {3: 10, 4: 10, 5: 10}
    beyond = draw(3, ranges=VariationRanges(convoy_size=(8, 9)))
    assert {one.levels["convoy_size"] for one in beyond} == {5}


def test_what_a_base_does_not_offer_has_no_level() -> None:
    bare = Traffic(TRAFFIC.headways_s, TRAFFIC.types, TRAFFIC.convoy_types, TRAFFIC.ego_types)
    for one in draw(3, traffic=bare):
        assert set(LEVELS) - set(one.levels) == {"heavy_share", "convoy_size", "convoy_spacing"}
        assert {flow.share for flow in one.flows.values()} == {1.0}


@given(share=st.floats(0.01, 0.99), factor=st.floats(0.0, 10.0))
def test_a_mix_keeps_the_total_rate(share: float, factor: float) -> None:
    heavy, light = mix_factors(share, factor)
    assert share * heavy + (1 - share) * light == pytest.approx(1.0, abs=1e-5)
    assert light >= 0.499
    assert heavy == pytest.approx(factor, abs=1e-5) or light == pytest.approx(0.5, abs=1e-5)
    assert mix_factors(0.0, factor) == mix_factors(1.0, factor) == (1.0, 1.0)


def test_surroundings_come_evenly_and_change_nothing_else():
    plain = draw(8)
    around = draw_around(plain, RANGES, np.random.default_rng(3))
    assert sorted(int(one.surroundings["penetration"] * 8) for one in around) == list(range(8))
    assert {one.surroundings["cars_behind"] for one in around} == {0, 1, 2, 3}
    assert Counter(one.sensors for one in around) == {name: 2 for name in RANGES.sensors}
    assert [replace(one, surroundings={}, sensors=None) for one in around] == plain


def test_without_surroundings_a_scenario_asks_for_none():
    nobody = {name: (0, 0) for name in AROUND}
    (one,) = draw_around(draw(1), VariationRanges(sensors=(), **nobody), np.random.default_rng(3))
    assert (one.surroundings, one.sensors) == ({}, None)
