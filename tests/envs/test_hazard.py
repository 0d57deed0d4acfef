"""Hazards: when they begin, how hard the car brakes, how long it holds, and what is drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from roadsense.envs.hazard import Hazard, HazardCourse, HazardRanges, draw_hazard
from roadsense.errors import InputError

STEP_S = 0.1
HAZARD = Hazard(car=0, onset_s=5.0, deceleration_mps2=6.0, final_speed_share=0.25, hold_s=2.0)


def play(hazard, speed_mps=20.0, n_steps=200, step_s=STEP_S, free_speed=None):
    """Drives a car that obeys; returns the speed before each step and what was commanded there."""
    course = HazardCourse(hazard, step_s)
    speeds, commands, active = [], [], []
    for step in range(n_steps):
        speed_mps = free_speed(step * step_s) if free_speed and not course.started else speed_mps
        command = course.advance(step * step_s, speed_mps)
        speeds.append(speed_mps)
        commands.append(command)
        active.append(course.active)
        speed_mps = speed_mps if command is None else command
    return np.array(speeds), commands, np.array(active), course


def test_it_begins_at_its_onset_and_not_before():
    _, commands, active, _ = play(HAZARD)
    assert all(command is None for command in commands[:50])
    assert commands[50] is not None
    assert not active[:50].any()
    assert active[50]


@pytest.mark.parametrize("deceleration", [4.0, 6.3, 8.0])
@pytest.mark.parametrize("step_s", [0.05, 0.1, 0.2])
def test_it_brakes_exactly_as_hard_as_asked_down_to_its_final_speed(deceleration, step_s):
    hazard = replace(HAZARD, deceleration_mps2=deceleration)
    speeds, _, _, _ = play(hazard, n_steps=round(12 / step_s), step_s=step_s)
    changes = np.diff(speeds) / step_s
    braking = np.flatnonzero(changes < -1e-9)
    np.testing.assert_allclose(changes[braking[:-1]], -deceleration, rtol=1e-9)
    assert -deceleration - 1e-9 <= changes[braking[-1]] < 0
    assert len(braking) == math.ceil(15.0 / (deceleration * step_s) - 1e-9)
    assert speeds.min() == pytest.approx(5.0)


@pytest.mark.parametrize("hold_s", [0.5, 1.0, 6.0])
def test_it_holds_its_final_speed_and_lets_go(hold_s):
    _, commands, active, course = play(replace(HAZARD, hold_s=hold_s))
    held = [command for command in commands if command == pytest.approx(5.0)]
    assert len(held) * STEP_S == pytest.approx(hold_s, abs=1.5 * STEP_S)
    last = max(step for step, command in enumerate(commands) if command is not None)
    assert last * STEP_S == pytest.approx(5.0 + 15.0 / 6.0 + hold_s, abs=2 * STEP_S)
    assert not active[last + 1 :].any()
    assert course.over
    assert course.advance(100.0, 30.0) is None


def test_it_brakes_to_a_standstill_when_asked_to():
    speeds, commands, _, _ = play(replace(HAZARD, final_speed_share=0.0))
    assert speeds.min() == 0.0
    assert all(command is None or command >= 0 for command in commands)


def test_a_car_waiting_at_a_light_brakes_once_it_drives_again():
    def waits_until_9_s(time_s):
        return 0.0 if time_s < 9 else 2.0 * (time_s - 9)

    speeds, commands, _, _ = play(HAZARD, free_speed=waits_until_9_s, n_steps=300)
    first = next(step for step, command in enumerate(commands) if command is not None)
    assert first * STEP_S == pytest.approx(11.5, abs=2 * STEP_S)
    assert speeds[first] >= 5.0


def test_without_a_hazard_nothing_is_ever_commanded():
    _, commands, active, course = play(None)
    assert set(commands) == {None}
    assert not active.any()
    assert course.over


@pytest.mark.parametrize("gone_from_s", [3.0, 6.0])
def test_a_car_that_has_left_the_road_is_not_commanded(gone_from_s):
    course = HazardCourse(HAZARD, STEP_S)
    speed_mps = 20.0
    for step in range(100):
        gone = step * STEP_S >= gone_from_s
        command = course.advance(step * STEP_S, None if gone else speed_mps)
        assert not gone or command is None
        speed_mps = speed_mps if command is None else command


RANGES = HazardRanges(
    probability=0.7, onset_min_s=5, onset_max_s=35, deceleration_min_mps2=4, deceleration_max_mps2=8,
    final_speed_max_share=0.3, hold_min_s=1, hold_max_s=6,
)  # fmt: skip


def test_draws_stay_in_their_ranges_and_fill_them():
    rng = np.random.default_rng(0)
    hazards = [draw_hazard(rng, RANGES, 4, forced=True) for _ in range(2000)]
    for name, low, high in (
        ("onset_s", 5, 35), ("deceleration_mps2", 4, 8), ("final_speed_share", 0, 0.3), ("hold_s", 1, 6),
    ):  # fmt: skip
        drawn = np.array([getattr(hazard, name) for hazard in hazards])
        margin = 0.02 * (high - low)
        assert low <= drawn.min() < low + margin
        assert high - margin < drawn.max() <= high
        assert drawn.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / math.sqrt(12 * 2000))
    counts = np.bincount([hazard.car for hazard in hazards], minlength=4)
    assert len(counts) == 4
    assert (np.abs(counts - 500) < 4 * math.sqrt(2000 * 0.25 * 0.75)).all()


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.7, 1.0])
def test_the_share_of_episodes_with_a_hazard_is_the_probability(probability):
    rng, n = np.random.default_rng(1), 3000
    ranges = replace(RANGES, probability=probability)
    n_hazards = sum(draw_hazard(rng, ranges, 3) is not None for _ in range(n))
    assert abs(n_hazards - n * probability) <= 4 * math.sqrt(n * probability * (1 - probability))


@pytest.mark.parametrize("forced", [None, True, False, HAZARD], ids=["drawn", "always", "never", "given"])
def test_forcing_takes_the_same_draws(forced):
    rng, plain = np.random.default_rng(3), np.random.default_rng(3)
    hazard, drawn = draw_hazard(rng, RANGES, 3, forced), draw_hazard(plain, RANGES, 3, True)
    assert rng.uniform() == plain.uniform()
    assert forced is None or hazard == {True: drawn, False: None, HAZARD: HAZARD}[forced]


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
def test_a_probability_that_is_none_is_refused(probability):
    with pytest.raises(InputError, match="0 to 1"):
        HazardRanges(probability=probability)
