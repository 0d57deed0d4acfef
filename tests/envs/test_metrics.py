"""Safety metrics against motion worked out by hand."""

import math

import numpy as np
import pytest

from roadsense.envs import metrics


@pytest.mark.parametrize(
    ("gap_m", "speed_mps", "leader_mps", "expected_s"),
    [
        (20.0, 20.0, 10.0, 2.0),  # 20 m closed at 10 m/s
        (20.0, 10.0, 10.0, math.inf),
        (20.0, 10.0, 15.0, math.inf),
        (0.0, 20.0, 10.0, 0.0),
        (-1.0, 20.0, 10.0, 0.0),  # already in contact
        (math.inf, 20.0, math.inf, math.inf),  # nobody ahead
    ],
)
def test_time_to_collision(gap_m: float, speed_mps: float, leader_mps: float, expected_s: float) -> None:
    assert metrics.time_to_collision_s(gap_m, speed_mps, leader_mps) == expected_s


def test_time_headway() -> None:
    assert metrics.time_headway_s(30.0, 20.0) == 1.5
    assert metrics.time_headway_s(30.0, 0.0) == metrics.NEVER
    assert metrics.time_headway_s(-0.5, 20.0) == 0.0


def test_drac_just_uses_up_the_gap() -> None:
    gap_m, speed_mps, leader_mps = 25.0, 20.0, 10.0
    rate = metrics.drac_mps2(gap_m, speed_mps, leader_mps)
    assert rate == 2.0  # 10^2 / (2 * 25)
    meet_s = (speed_mps - leader_mps) / rate
    own_way_m = speed_mps * meet_s - rate * meet_s**2 / 2
    assert own_way_m == pytest.approx(gap_m + leader_mps * meet_s)


def test_drac_is_zero_without_approach_and_finite_at_contact() -> None:
    assert metrics.drac_mps2(10.0, 10.0, 12.0) == 0.0
    assert metrics.drac_mps2(0.0, 10.0, 8.0) == 4.0 / (2 * metrics.MIN_GAP_M)


def test_jerk() -> None:
    assert metrics.jerk_mps3(-4.0, 0.0, 0.1) == pytest.approx(-40.0)


def test_required_braking_stops_behind_a_leader_that_stops() -> None:
    # The leader stops from 20 m/s at 8 m/s2 in 25 m; with a gap of 15 m the ego has 40 m for its 20 m/s.
    assert metrics.required_deceleration_mps2(15.0, 20.0, (20.0, -8.0)) == pytest.approx(5.0)


def test_required_braking_is_drac_behind_a_steady_leader() -> None:
    assert metrics.required_deceleration_mps2(25.0, 20.0, (10.0, 0.0)) == 2.0
    assert metrics.required_deceleration_mps2(25.0, 20.0, (10.0, -0.5)) == 2.0  # easing off is not braking
    assert metrics.required_deceleration_mps2(math.inf, 20.0, (math.inf, 0.0)) == 0.0


def test_required_braking_is_never_less_than_drac() -> None:
    # A leader about to stand: to stop at it needs 20^2 / (2 * (10 + 1 / 16)), DRAC asks for a little less.
    required = metrics.required_deceleration_mps2(10.0, 20.0, (1.0, -8.0))
    assert required == pytest.approx(400 / (2 * (10 + 1 / 16)))
    assert required > metrics.drac_mps2(10.0, 20.0, 1.0)


@pytest.mark.parametrize(
    ("gap_m", "leader"),
    [
        (5.0, (20.0, -8.0)),
        (15.0, (20.0, -8.0)),
        (40.0, (15.0, -4.0)),
        (5.0, (25.0, -6.0)),
        (30.0, (10.0, 0.0)),
        (5.0, (15.0, -4.0)),
    ],
)
def test_required_braking_avoids_contact_and_a_tenth_less_does_not(gap_m: float, leader: tuple[float, float]) -> None:
    required = metrics.required_deceleration_mps2(gap_m, 22.0, leader)
    assert _smallest_gap_m(gap_m, 22.0, leader, required) > -0.05
    assert _smallest_gap_m(gap_m, 22.0, leader, 0.9 * required) < -0.05


def _smallest_gap_m(gap_m: float, speed_mps: float, leader: tuple[float, float], braking_mps2: float) -> float:
    (leader_mps, leader_mps2), smallest, step_s = leader, gap_m, 0.001
    for _ in range(20_000):
        gap_m += (leader_mps - speed_mps) * step_s
        speed_mps = max(0.0, speed_mps - braking_mps2 * step_s)
        leader_mps = max(0.0, leader_mps + leader_mps2 * step_s)
        smallest = min(smallest, gap_m)
    return smallest


def test_squares_are_python_s_to_the_last_bit():
    speeds_mps = np.random.default_rng(0).uniform(0.0, 50.0, 20_000).tolist()
    assert any(speed_mps * speed_mps != speed_mps**2 for speed_mps in speeds_mps)  # a C compiler's square is another
    for speed_mps in speeds_mps:
        assert metrics.required_deceleration_mps2(20.0, speed_mps, (0.0, 0.0)) == speed_mps**2 / 40.0
