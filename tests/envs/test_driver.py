"""The driver, on plain Euler roads: headway kept, stop lines and limits met, reactions late but not too late."""

import math
from dataclasses import replace

import numpy as np
import pytest

from roadsense.envs.driver import Driver, road_mps2
from roadsense.envs.driver_profile import (
    PERFECT_DRIVER,
    DriverProfile,
    DriverRanges,
    draw_driver,
    draw_gap_errors,
)
from roadsense.envs.world import NO_LEADER, Leader, RoadAhead

STEP_S = 0.1
PERSON = DriverProfile()
FREE = math.inf


def step_on(speed_mps, acceleration_mps2):
    """Returns speed and way of a step, as SUMO's Euler update has them: the new speed drives the step."""
    speed_mps = max(0.0, speed_mps + acceleration_mps2 * STEP_S)
    return speed_mps, speed_mps * STEP_S


def follow(profile, leader_accelerations, gap_m, speed_mps, leader_mps=None, gap_errors=None, limit_mps=40.0):
    """Follows a leader; returns gaps, own speeds and asked accelerations, one row per step."""
    errors = np.ones(1) if gap_errors is None else gap_errors
    driver = Driver(profile, STEP_S, errors)
    leader_mps = speed_mps if leader_mps is None else leader_mps
    rows = []
    for leader_mps2 in leader_accelerations:
        asked = driver.accelerate(speed_mps, Leader(gap_m, leader_mps, leader_mps2), (limit_mps, FREE))
        rows.append((gap_m, speed_mps, asked))
        speed_mps, way_m = step_on(speed_mps, asked)
        leader_mps, leader_way_m = step_on(leader_mps, leader_mps2)
        gap_m += leader_way_m - way_m
    return np.array(rows).T


def approach(profile, speed_mps, road_at, n_steps, limit_mps):
    """Drives towards something on the road; returns positions, speeds and accelerations."""
    driver, x_m, rows = Driver(profile, STEP_S, np.ones(1)), 0.0, []
    for _ in range(n_steps):
        allowed = road_mps2(profile, speed_mps, road_at(x_m))
        asked = driver.accelerate(speed_mps, NO_LEADER, (limit_mps, allowed))
        rows.append((x_m, speed_mps, asked))
        speed_mps, way_m = step_on(speed_mps, asked)
        x_m += way_m
    return np.array(rows).T


@pytest.mark.parametrize("speed_mps", [5.0, 15.0, 30.0])
@pytest.mark.parametrize("headway_s", [0.5, 1.1, 1.8])
@pytest.mark.parametrize("reaction_s", [0.0, 0.8, 1.6])
def test_behind_a_steady_leader_the_desired_headway_is_kept(speed_mps, headway_s, reaction_s):
    profile = replace(PERSON, time_headway_s=headway_s, reaction_time_s=reaction_s)
    gaps, speeds, asked = follow(profile, np.zeros(1500), gap_m=60.0, speed_mps=speed_mps)
    assert speeds[-1] == pytest.approx(speed_mps, abs=0.05)
    assert gaps[-1] == pytest.approx(profile.minimum_gap_m + headway_s * speed_mps, rel=0.02)
    assert abs(asked[-1]) < 0.02


def test_on_a_free_road_the_desired_speed_is_reached_without_hurry():
    _, speeds, asked = approach(PERSON, 5.0, lambda _: RoadAhead(20.0), 1000, 20.0)
    assert speeds[-1] == pytest.approx(21.0, abs=0.1)
    assert asked.max() <= 1.8
    _, speeds, asked = approach(PERSON, 30.0, lambda _: RoadAhead(20.0), 1000, 20.0)
    assert speeds[-1] == pytest.approx(21.0, abs=0.1)
    assert asked.min() >= -2.0


@pytest.mark.parametrize("speed_mps", [5.0, 13.9, 20.0])
def test_it_stops_smoothly_before_a_closed_stop_line(speed_mps):
    x, speeds, asked = approach(PERSON, speed_mps, lambda x_m: RoadAhead(speed_mps, stop_m=150 - x_m), 700, speed_mps)
    assert speeds[-1] < 0.05
    assert 147.5 < x[-1] < 150.0
    assert asked.min() > -3.0
    assert np.abs(np.diff(asked)).max() / STEP_S < 3.0


def test_a_line_that_closes_near_is_stopped_at_as_hard_as_it_takes():
    x, speeds, asked = approach(PERSON, 13.9, lambda x_m: RoadAhead(13.9, stop_m=20 - x_m), 300, 13.9)
    assert speeds[-1] < 0.05
    assert x[-1] < 20.0
    assert -PERSON.max_deceleration_mps2 <= asked.min() < -4.8


def test_a_line_that_can_not_be_stopped_at_is_driven_past():
    road = RoadAhead(20.0, stop_m=20.0)
    assert road_mps2(PERSON, 20.0, road) == math.inf
    assert road_mps2(PERSON, 10.0, road) < -1.0


@pytest.mark.parametrize(("distance_m", "stops"), [(60.0, True), (34.0, True), (31.0, False), (15.0, False)])
def test_at_yellow_it_stops_if_3_mps2_are_enough(distance_m, stops):
    # 13.9 m/s need 32.2 m at 3 m/s2.
    allowed = road_mps2(PERSON, 13.9, RoadAhead(13.9, yellow_m=distance_m))
    assert (allowed < 0) == stops
    x, _, _ = approach(
        PERSON,
        13.9,
        lambda x_m: RoadAhead(13.9, yellow_m=distance_m - x_m) if x_m < distance_m else RoadAhead(13.9),
        200,
        13.9,
    )
    assert (x[-1] < distance_m) == stops


def test_passing_at_yellow_does_not_hide_a_red_line_behind_it():
    with_both = RoadAhead(13.9, stop_m=60.0, yellow_m=10.0)
    assert road_mps2(PERSON, 13.9, with_both) == road_mps2(PERSON, 13.9, RoadAhead(13.9, stop_m=60.0))


@pytest.mark.parametrize(("before_mps", "after_mps"), [(33.3, 22.2), (22.2, 13.9), (13.9, 8.3)])
def test_it_slows_for_a_lower_limit_before_it_begins(before_mps, after_mps):
    x, speeds, asked = approach(
        PERSON,
        before_mps * 1.05,
        lambda x_m: (
            RoadAhead(before_mps, lower_limit_mps=after_mps, lower_limit_m=250 - x_m)
            if 100 < x_m < 250
            else RoadAhead(before_mps if x_m < 250 else after_mps)
        ),
        400,
        before_mps,
    )
    at_limit = speeds[np.searchsorted(x, 250.0) - 1]
    assert at_limit <= 1.05 * after_mps + 0.5
    before = x < 250
    assert asked[before].min() > -(2.5 if before_mps < 30 else 4.0)
    assert (speeds[x < 100] > before_mps).all()


def test_a_lower_limit_far_away_is_nothing_yet():
    assert road_mps2(PERSON, 13.9, RoadAhead(13.9, lower_limit_mps=8.3, lower_limit_m=140.0)) == math.inf


@pytest.mark.parametrize("reaction_s", [0.0, 0.4, 0.8, 1.2, 1.6])
def test_a_braking_leader_is_answered_after_the_reaction_time_and_not_before(reaction_s):
    profile = replace(PERSON, reaction_time_s=reaction_s)
    onset, n_steps = 50, 100
    gap_m = profile.minimum_gap_m + profile.time_headway_s * 20.0
    steady = np.zeros(n_steps)
    braking = np.where(np.arange(n_steps) >= onset, -6.0, 0.0)
    _, _, calm = follow(profile, steady, gap_m, 20.0)
    _, _, asked = follow(profile, braking, gap_m, 20.0)
    # The leader's speed is lower for the first time one step after its onset.
    first = onset + 1 + round(reaction_s / STEP_S)
    np.testing.assert_array_equal(asked[:first], calm[:first])
    assert asked[first] < calm[first] - 0.02
    assert asked[first + 10] < -1.0


def stop_and_go(n_steps):
    """Ordinary braking of 2 m/s2 from 15 m/s to a standstill, 5 s of rest, and off again; twice."""
    cycle = np.concatenate([np.zeros(60), np.full(75, -2.0), np.zeros(50), np.full(100, 1.5), np.zeros(40)])
    return np.tile(cycle, math.ceil(n_steps / len(cycle)))[:n_steps]


def test_stop_and_go_is_driven_without_collision_by_every_drawn_driver():
    rng, ranges = np.random.default_rng(0), DriverRanges()
    for _ in range(60):
        profile = draw_driver(rng, ranges)
        errors = draw_gap_errors(rng, 650, ranges.gap_error_std, STEP_S)
        gap_m = profile.minimum_gap_m + profile.time_headway_s * 15.0
        gaps, _, _ = follow(profile, stop_and_go(650), gap_m, 15.0, gap_errors=errors)
        assert gaps.min() > 0


def test_one_driver_behind_another_survives_stop_and_go():
    rng, ranges, n_steps = np.random.default_rng(5), DriverRanges(), 650
    for _ in range(30):
        profiles = [draw_driver(rng, ranges) for _ in range(2)]
        drivers = [Driver(p, STEP_S, draw_gap_errors(rng, n_steps, ranges.gap_error_std, STEP_S)) for p in profiles]
        gaps = np.array([p.minimum_gap_m + p.time_headway_s * 15.0 for p in profiles])
        speeds, accelerations = np.full(3, 15.0), np.zeros(3)
        for leader_mps2 in stop_and_go(n_steps):
            asked = [
                driver.accelerate(speeds[i + 1], Leader(gaps[i], speeds[i], accelerations[i]), (15.0, FREE))
                for i, driver in enumerate(drivers)
            ]
            accelerations = np.array([leader_mps2, *asked])
            speeds = np.maximum(0.0, speeds + accelerations * STEP_S)
            gaps += (speeds[:-1] - speeds[1:]) * STEP_S
            assert gaps.min() > 0


@pytest.mark.parametrize("deceleration", [6.0, 8.0])
def test_no_reaction_time_avoids_what_a_slow_driver_does_not(deceleration):
    leader = np.where(np.arange(150) >= 20, -deceleration, 0.0)
    slow = replace(PERFECT_DRIVER, reaction_time_s=1.6, time_headway_s=0.8)
    quick = replace(slow, reaction_time_s=0.0)
    gap_m = slow.minimum_gap_m + slow.time_headway_s * 25.0
    assert follow(slow, leader, gap_m, 25.0)[0].min() < 0
    gaps, speeds, _ = follow(quick, leader, gap_m, 25.0)
    assert gaps.min() > 0
    assert speeds[-1] < 0.1


@pytest.mark.parametrize("max_deceleration", [6.0, 8.0])
def test_braking_ends_at_the_drivers_hardest(max_deceleration):
    profile = replace(PERSON, max_deceleration_mps2=max_deceleration, reaction_time_s=0.0)
    _, _, asked = follow(profile, np.zeros(30), gap_m=10.0, speed_mps=30.0, leader_mps=5.0)
    assert asked.min() == -max_deceleration


def test_misjudged_gaps_change_the_gap_that_is_kept():
    far = follow(PERSON, np.zeros(1500), 30.0, 20.0, gap_errors=np.full(1500, 0.8))[0][-1]
    near = follow(PERSON, np.zeros(1500), 30.0, 20.0, gap_errors=np.full(1500, 1.25))[0][-1]
    assert near < 0.9 * 24.5 < 24.5 < 0.95 * far


@pytest.mark.parametrize("std", [0.04, 0.08, 0.2])
def test_gap_errors_have_their_standard_deviation(std):
    rng, n_series = np.random.default_rng(0), 3000
    logs = np.log([draw_gap_errors(rng, 50, std, STEP_S) for _ in range(n_series)])
    for step in (0, 49):
        assert logs[:, step].std() == pytest.approx(std, rel=4 / math.sqrt(2 * n_series))
        assert abs(logs[:, step].mean()) < 4 * std / math.sqrt(n_series)


@pytest.mark.parametrize("lag_s", [1.0, 5.0, 20.0])
@pytest.mark.parametrize("step_s", [0.1, 0.5])
def test_gap_errors_wander_with_a_correlation_time_of_20_s(lag_s, step_s):
    rng, n_series, lag = np.random.default_rng(1), 2000, round(lag_s / step_s)
    logs = np.log([draw_gap_errors(rng, lag + 1, 0.08, step_s) for _ in range(n_series)])
    expected = math.exp(-lag_s / 20.0)
    assert np.corrcoef(logs[:, 0], logs[:, lag])[0, 1] == pytest.approx(expected, abs=4 / math.sqrt(n_series))


def test_a_gap_error_of_zero_is_perfect_judgement():
    np.testing.assert_array_equal(draw_gap_errors(np.random.default_rng(0), 20, 0.0, STEP_S), np.ones(20))


def test_drawn_drivers_stay_in_their_ranges_and_fill_them():
    rng = np.random.default_rng(0)
    drivers = [draw_driver(rng, DriverRanges()) for _ in range(2000)]
    for name, low, high in (
        ("reaction_time_s", 0.8, 1.6),
        ("time_headway_s", 0.5, 1.0),
        ("minimum_gap_m", 2.0, 3.0),
        ("speed_factor", 1.0, 1.1),
        ("max_deceleration_mps2", 6.0, 8.0),
    ):
        drawn = np.array([getattr(driver, name) for driver in drivers])
        margin = 0.02 * (high - low)
        assert low <= drawn.min() < low + margin
        assert high - margin < drawn.max() <= high


def test_a_leader_that_leaves_is_forgotten_after_the_reaction_time():
    driver = Driver(replace(PERSON, reaction_time_s=1.0), STEP_S, np.ones(1))
    asked = []
    for step in range(40):
        leader = Leader(8.0, 15.0, 0.0) if step < 10 else NO_LEADER
        asked.append(driver.accelerate(15.0, leader, (20.0, FREE)))
    assert max(asked[:20]) < 0
    assert min(asked[20:]) > 0


def test_the_same_is_driven_twice_from_the_same_start():
    first, second = (follow(PERSON, stop_and_go(300), 19.0, 15.0)[2] for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_behind_a_car_that_has_to_stop_at_a_line_the_driver_slows_down_for_both():
    closed = RoadAhead(13.9, stop_m=15.0)
    alone, behind = road_mps2(PERSON, 6.3, closed), road_mps2(PERSON, 6.3, closed, gap_m=6.0)
    assert behind < alone < 0
    assert road_mps2(PERSON, 6.3, closed, gap_m=20.0) == alone  # that car is past the line
    assert road_mps2(PERSON, 6.3, RoadAhead(13.9), gap_m=6.0) == math.inf
