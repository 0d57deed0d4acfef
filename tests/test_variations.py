"""What is drawn: within its range, evenly over it, the same from the same seed, and worth its words."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roadsense.errors import InputError
from roadsense.scenario import DENSITY_WORDS, DRIVER_WORDS
from roadsense.variations import Traffic, Variation, VariationRanges, draw_variations, redraw

TRAFFIC = Traffic(
    headways_s={"busy": 4.0, "calm": 60.0, "single": math.inf},
    types=("car", "convoy_car", "ego", "truck"),
    convoy_types=frozenset({"convoy_car", "ego"}),
    ego_types=frozenset({"ego"}),
)
RANGES = VariationRanges()


def draw(n: int, seed: int = 0, ranges: VariationRanges = RANGES) -> list[Variation]:
    return draw_variations(n, TRAFFIC, ranges, np.random.default_rng(seed))


def within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


@pytest.mark.parametrize("n", [1, 5, 16])
def test_every_coordinate_has_one_draw_in_each_part_of_its_range(n: int) -> None:
    points = np.array([variation.point for variation in draw(n)])
    assert points.shape == (n, TRAFFIC.n_dims)
    for column in points.T:
        assert sorted(np.floor(column * n)) == list(range(n))


def test_values_cover_their_ranges_evenly() -> None:
    draws = draw(400)
    columns = {
        "density": [flow.density for one in draws for flow in one.flows.values()],
        "sigma": [kind.sigma for one in draws for kind in one.types.values() if kind.sigma is not None],
        "speed_mean": [kind.speed_mean for one in draws for kind in one.types.values()],
        "convoy_shift_s": [one.convoy_shift_s for one in draws],
    }
    for name, values in columns.items():
        share, _ = np.histogram(values, bins=5, range=getattr(RANGES, name))
        assert np.all(np.abs(share / len(values) - 0.2) < 0.04), name


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 12), spread=st.floats(0, 0.5))
def test_every_value_is_within_its_range(seed: int, n: int, spread: float) -> None:
    for one in draw(n, seed, VariationRanges(level_spread=spread)):
        assert all(0.0 <= unit < 1.0 for unit in one.point)
        assert within(one.convoy_shift_s, RANGES.convoy_shift_s)
        for name, flow in one.flows.items():
            assert within(flow.density, RANGES.density)
            assert within(flow.shift_s, RANGES.background_shift_s)
            assert flow.shift_s <= TRAFFIC.headways_s[name] / flow.density + 0.01
        for name, kind in one.types.items():
            dev_range = RANGES.convoy_speed_dev if name in TRAFFIC.convoy_types else RANGES.speed_dev
            assert within(kind.speed_mean, RANGES.speed_mean)
            assert within(kind.speed_dev, dev_range)
            assert (kind.sigma is None) == (name == "ego")
            assert kind.sigma is None or within(kind.sigma, RANGES.sigma)


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


def test_same_seed_same_draws_and_other_seed_other_draws() -> None:
    assert draw(6, 3) == draw(6, 3)
    assert draw(6, 3)[0].distance(draw(6, 4)[0]) > 0.0
    assert len({one.sumo_seed for one in draw(50)}) == 50


def test_redraw_keeps_the_levels_part_and_changes_the_rest() -> None:
    rng = np.random.default_rng(1)
    for one in draw(8):
        again = redraw(one, 8, TRAFFIC, RANGES, rng)
        assert [int(unit * 8) for unit in again.point[:2]] == [int(unit * 8) for unit in one.point[:2]]
        assert again.distance(one) > 0.1


def test_distance_is_zero_to_itself_symmetric_and_at_most_one() -> None:
    first, second = draw(2)
    assert first.distance(first) == 0.0
    assert 0.0 < first.distance(second) == second.distance(first) < 1.0


def test_a_range_of_one_value_gives_that_value() -> None:
    one = draw(1, ranges=VariationRanges(density=(1.1, 1.1), convoy_shift_s=(0.0, 0.0)))[0]
    assert {flow.density for flow in one.flows.values()} == {1.1}
    assert one.convoy_shift_s == 0.0


def test_ranges_may_be_lists_as_json_gives_them() -> None:
    assert VariationRanges(density=[0.7, 1.3]) == RANGES  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("density", (1.3, 0.7)),
        ("density", (0.0, 1.0)),
        ("sigma", (0.0, 1.5)),
        ("speed_mean", (0.8, math.nan)),
        ("speed_dev", 0.1),
        ("background_shift_s", (-1.0, 5.0)),
        ("convoy_shift_s", ("a", "b")),
        ("speed_cut", 0.9),
        ("level_spread", 0.7),
    ],
)
def test_ranges_that_make_no_sense_are_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{name}: expected .* got"):
        VariationRanges(**{name: value})
