"""What the ego knows: frame of reference, scales, bounds and empty slots."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.envs.observation import PEER_SCALE, hold_course, observation_space
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import PRESETS
from tests.envs.channel_arrays import exchange, observed

STEP_S = 0.1


def hear(states, n_silent_steps=0):
    """A perfect radio that has heard these states once, and nothing for some steps since; with the step it is."""
    states = np.asarray(states, float)
    channel = V2vChannel(PRESETS["ideal"], len(states), 1 + n_silent_steps, STEP_S, np.random.default_rng(0))
    exchange(channel, 0, states, states[0, :2] if len(states) else np.zeros(2))
    for step in range(1, 1 + n_silent_steps):
        exchange(channel, step, np.full_like(states, np.nan), np.zeros(2))
    return channel, n_silent_steps


def see(states, ego=(0, 0, 0, 0, 0), pedals=(0.0, 0.0), n_silent_steps=0):
    channel, step = hear(states, n_silent_steps)
    return observed(tuple(map(float, ego)), pedals, channel, step)


@pytest.mark.parametrize("heading_deg", [0, 30, 90, 135, 180, 270, -45, 400])
@pytest.mark.parametrize(("forward_m", "left_m"), [(50, 0), (5, 6), (30, -10)])
def test_forward_and_left_are_seen_from_the_ego(heading_deg, forward_m, left_m):
    heading = math.radians(heading_deg)
    along = np.array([math.cos(heading), math.sin(heading)])
    left = np.array([-along[1], along[0]])
    ego = np.array([1200.0, -340.0, 20.0, 0.0, heading])
    place = ego[:2] + forward_m * along + left_m * left
    seen = see([[*place, 26.0, -3.0, heading]], ego)["peers"][0] * PEER_SCALE
    np.testing.assert_allclose(seen, [forward_m, left_m, 6.0, -3.0, 0.0, 0.0, left_m, -3.0], atol=1e-4)


def test_north_is_left_of_a_car_that_drives_east():
    assert see([(20, 5, 9, 0, 0)])["peers"][0, 1] > 0


@pytest.mark.parametrize(
    ("peer_deg", "ego_deg", "difference_deg"),
    [(10, 0, 10), (0, 10, -10), (-179, 179, 2), (179, -179, -2), (90, -250, -20), (350, 5, -15), (730, 0, 10)],
)
def test_heading_differences_take_the_short_way(peer_deg, ego_deg, difference_deg):
    ahead = (30 * math.cos(math.radians(ego_deg)), 30 * math.sin(math.radians(ego_deg)))
    seen = see([(*ahead, 9, 0, math.radians(peer_deg))], (0, 0, 0, 0, math.radians(ego_deg)))["peers"][0, 4]
    assert math.degrees(seen) == pytest.approx(difference_deg, abs=1e-4)


@given(
    st.lists(st.tuples(*[st.floats(-1e4, 1e4)] * 2, *[st.floats(-50, 50)] * 2, st.floats(-20, 20)), max_size=8),
    st.tuples(*[st.floats(-1e4, 1e4)] * 2, *[st.floats(-50, 50)] * 2, st.floats(-20, 20)),
    st.integers(0, 8),
)
def test_whatever_is_heard_the_observation_is_in_its_space(states, ego, n_silent_steps):
    seen = see(np.array(states).reshape(-1, 5), ego, (-8.0, 8.0), n_silent_steps)
    assert observation_space().contains(seen)
    for values in seen.values():
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert set(np.unique(seen["peer_mask"])) <= {0.0, 1.0}
    assert not seen["peers"][seen["peer_mask"] == 0].any()


def test_scales_are_the_documented_ones():
    seen = see([(100.0, 20.0, 20.0, 8.0, 0.5)], ego=(0, 0, 0, 0, 0))
    aside_m = 20 * math.cos(0.25) - 100 * math.sin(0.25)
    np.testing.assert_allclose(seen["peers"][0], [1, 1, 1, 1, 0.5, 0, aside_m / 10, 1], atol=1e-6)
    seen = see([(0, 0, 0, 0, 0)], ego=(0, 0, 30.0, -8.0, 0), pedals=(-4.0, 8.0))
    np.testing.assert_allclose(seen["ego"], [1, -1, -0.5, 1], atol=1e-6)


@pytest.mark.parametrize("n_silent_steps", [0, 1, 4, 20])
def test_the_age_is_in_seconds(n_silent_steps):
    seen = see([(30, 0, 20, 0, 0)], n_silent_steps=n_silent_steps)
    assert seen["peers"][0, 5] == pytest.approx(n_silent_steps * 0.1)


def test_far_off_values_are_cut_at_the_bounds():
    seen = see([(1e5, -1e4, 500, -500, 0)], ego=(0, 0, 0, 0, 0))
    np.testing.assert_array_equal(seen["peers"][0, :4], [5, -5, 5, -5])


def test_old_and_empty_slots_are_zero_and_masked():
    fresh = see([(30, 1, 20, -2, 0.1)] * 3)
    assert fresh["peer_mask"].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert (fresh["peers"][3:] == 0).all()
    stale = see([(30, 1, 20, -2, 0.1)] * 3, n_silent_steps=21)
    assert not stale["peer_mask"].any()
    assert not stale["peers"].any()


def test_the_nearest_ahead_comes_first():
    seen = see([(30, 0, 0, 0, 0), (10, 0, 0, 0, 0), (20, 0, 0, 0, 0)])
    np.testing.assert_allclose(seen["peers"][:3, 0], [0.1, 0.2, 0.3], atol=1e-6)


def test_nothing_is_seen_with_nobody_there():
    seen = see(np.empty((0, 5)))
    assert not seen["peer_mask"].any()


def test_shapes_are_those_of_the_specification():
    shapes = {key: space.shape for key, space in observation_space().items()}
    assert shapes == {"ego": (4,), "peers": (8, 8), "peer_mask": (8,)}


def arc(radius_m, way_m, speed_mps=10.0):
    """The state of a car that is `way_m` further round a bend to the left, which begins at the origin, eastward."""
    turn = way_m / radius_m
    return (radius_m * math.sin(turn), radius_m * (1 - math.cos(turn)), speed_mps, -5.0, turn)


@pytest.mark.parametrize("radius_m", [-15.0, 25.0, 90.0, -300.0])
@pytest.mark.parametrize("way_m", [8.0, 20.0, 28.0])
def test_a_car_round_the_bend_is_on_the_way_and_one_behind_it_is_not(radius_m, way_m):
    ahead, behind = arc(radius_m, way_m), arc(radius_m, -way_m)
    seen = see([behind, ahead])
    assert seen["peer_mask"].tolist() == [1.0] + [0.0] * 7
    np.testing.assert_allclose(seen["peers"][0, 6:], [0.0, -5.0 / 8.0], atol=1e-6)


@pytest.mark.parametrize(
    "state",
    [
        (-10, 0, 20, -8, 0),  # behind
        (-1, 3.3, 20, -8, 0),  # beside
        (40, 3.5, 20, -8, math.pi),  # oncoming, in the next lane
        (5, 3.5, 20, -8, -math.pi),  # the same, as it passes
        (30, 25, 20, -8, 0),  # on a parallel road
        (40, 20, 20, -8, -math.pi / 2),  # crossing
        (-55, -100, 10, -8, math.pi),  # round a hairpin
    ],
)
def test_a_car_that_is_not_ahead_on_the_way_gets_no_place(state):
    assert not see([state])["peer_mask"].any()


def test_eight_of_thirty_get_a_place_the_nearest():
    ways_m = np.random.default_rng(1).permutation(30) * 5.0 + 10.0
    seen = see([(way_m, 0, 20, 0, 0) for way_m in ways_m])
    np.testing.assert_allclose(seen["peers"][:, 0] * 100, 10 + 5.0 * np.arange(8), atol=1e-4)


def test_a_course_below_walking_pace_means_nothing():
    # It stands ahead, and says that it came towards us. If it was heard moving, that course counts, else the ego's.
    channel = V2vChannel(PRESETS["ideal"], 1, 2, STEP_S, np.random.default_rng(0))
    exchange(channel, 0, [(30, 0, 0.3, 0, 3.0)])
    assert observed((0, 0, 10, 0, 0), (0, 0), channel, 0)["peers"][0, 4] == 0
    channel = V2vChannel(PRESETS["ideal"], 1, 2, STEP_S, np.random.default_rng(0))
    exchange(channel, 0, [(30, 0, 5.0, 0, 0.25)])
    exchange(channel, 1, [(30, 0, 0.3, 0, 3.0)])
    assert observed((0, 0, 10, 0, 0), (0, 0), channel, 1)["peers"][0, 4] == 0.25


def test_the_ego_keeps_its_course_below_walking_pace():
    moving, standing = (0.0, 0.0, 5.0, 0.0, 0.2), (1.0, 0.0, 0.5, 0.0, 2.9)
    assert hold_course(standing, moving) == (1.0, 0.0, 0.5, 0.0, 0.2)
    assert hold_course(standing, None) == standing
    assert hold_course(moving, standing) == moving


def test_the_mean_acceleration_follows_with_its_time_constant_and_tames_noise():
    channel = V2vChannel(PRESETS["ideal"], 1, 3000, STEP_S, np.random.default_rng(0))
    noise = np.random.default_rng(2).normal(-1.0, 2.0, 3000)
    means = []
    for step, acceleration_mps2 in enumerate(noise):
        exchange(channel, step, [(30, 0, 20, acceleration_mps2, 0)])
        means.append(channel.steady_mps2[0])
    assert np.mean(means) == pytest.approx(-1.0, abs=0.15)
    assert np.std(means) == pytest.approx(2.0 * math.sqrt(0.25 / 1.75), rel=0.1)
