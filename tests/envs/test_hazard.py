"""Hazards: when they begin, how hard the car brakes, how long it holds, and what is drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from roadsense.envs.hazard import GAP_BUCKETS_M, KINDS, Hazard, HazardRanges, draw_hazard
from roadsense.envs.hazard_profile import CUT_IN_SHARE, GAP_PATIENCE_S, STOPPING_S, HazardProfile
from roadsense.errors import InputError

STEP_S = 0.1
HAZARD = Hazard(car=0, onset_s=5.0, deceleration_mps2=6.0, final_speed_share=0.25, hold_s=2.0)


def play(hazard, speed_mps=20.0, n_steps=200, step_s=STEP_S, free_speed=None, gap_m=lambda time_s: 20.0):
    """Drives a car that obeys; returns the speed before each step and what was commanded there."""
    course = HazardProfile(hazard, step_s)
    speeds, commands, active = [], [], []
    for step in range(n_steps):
        speed_mps = free_speed(step * step_s) if free_speed and not course.started else speed_mps
        if course.is_due(step * step_s, gap_m(step * step_s)):
            course.begin(speed_mps)
        command = course.advance(speed_mps)
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
    assert not course.is_due(100.0, 20.0)
    assert course.advance(30.0) is None


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


def test_a_car_that_has_left_the_road_is_not_commanded():
    course = HazardProfile(HAZARD, STEP_S)
    assert course.begin(20.0)
    assert course.advance(20.0) is not None
    assert course.advance(None) is None
    assert course.over
    assert course.advance(20.0) is None


def test_one_that_waits_for_a_gap_begins_when_the_gap_is_in_its_bucket():
    waiting = replace(HAZARD, gap_m=(10.0, 16.0))
    _, commands, _, _ = play(waiting, gap_m=lambda time_s: 30.0 - 2.0 * time_s)
    first = next(step for step, command in enumerate(commands) if command is not None)
    assert 30.0 - 2.0 * first * STEP_S == pytest.approx(16.0)
    _, patient, _, _ = play(waiting, gap_m=lambda time_s: 30.0, n_steps=300)
    first = next(step for step, command in enumerate(patient) if command is not None)
    assert first * STEP_S == pytest.approx(HAZARD.onset_s + GAP_PATIENCE_S)


def test_a_car_that_cuts_in_brakes_half_as_hard():
    speeds, _, _, _ = play(replace(HAZARD, kind="cut_in"))
    assert np.diff(speeds).min() == pytest.approx(-6.0 * CUT_IN_SHARE * STEP_S)


def test_a_standing_vehicle_stands_until_the_convoy_had_time_to_stop():
    course = HazardProfile(replace(HAZARD, kind="stopped"), STEP_S)
    assert course.begin(20.0)
    n_steps = 0
    while course.advance(0.0) is not None:
        n_steps += 1
    assert n_steps * STEP_S == pytest.approx(HAZARD.hold_s + STOPPING_S)


def test_one_that_does_not_resolve_lasts():
    _, commands, active, _ = play(replace(HAZARD, resolves=False), n_steps=2000)
    assert commands[-1] == pytest.approx(5.0)
    assert active[-1]


def test_an_unknown_kind_is_refused():
    with pytest.raises(InputError, match="cut_in"):
        replace(HAZARD, kind="meteor")


RANGES = HazardRanges(
    probability=0.7, onset_min_s=5, onset_max_s=35, deceleration_min_mps2=4, deceleration_max_mps2=8,
    final_speed_max_share=0.3, hold_min_s=1, hold_max_s=6, stopped_share=0.2, cut_in_share=0.3, by_gap_share=0.4,
    stays_share=0.1,
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


def test_kinds_buckets_and_endings_come_in_their_shares():
    rng, n = np.random.default_rng(2), 3000
    hazards = [draw_hazard(rng, RANGES, 4, forced=True) for _ in range(n)]
    shares = {kind: sum(hazard.kind == kind for hazard in hazards) / n for kind in KINDS}
    assert shares == pytest.approx(
        {"brake": 0.5, "stopped": 0.2, "cut_in": 0.3, "recorded": 0}, abs=4 * math.sqrt(0.25 / n)
    )
    assert sum(not hazard.resolves for hazard in hazards) / n == pytest.approx(0.1, abs=4 * math.sqrt(0.09 / n))
    buckets = [sum(hazard.gap_m == bucket for hazard in hazards) / n for bucket in GAP_BUCKETS_M]
    assert buckets == pytest.approx([0.1] * 4, abs=4 * math.sqrt(0.09 / n))


@pytest.mark.parametrize("probability", [0.0, 0.3, 0.7, 1.0])
def test_the_share_of_episodes_with_a_hazard_is_the_probability(probability):
    rng, n = np.random.default_rng(1), 3000
    ranges = replace(RANGES, probability=probability)
    n_hazards = sum(draw_hazard(rng, ranges, 3) is not None for _ in range(n))
    assert abs(n_hazards - n * probability) <= 4 * math.sqrt(n * probability * (1 - probability))


def test_the_direct_leader_causes_more_where_it_is_asked_to():
    rng, n = np.random.default_rng(4), 3000
    ranges = replace(RANGES, leader_share=0.6)
    cars = [draw_hazard(rng, ranges, 4, forced=True).car for _ in range(n)]
    shares = [cars.count(car) / n for car in range(4)]
    assert shares == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=4 * math.sqrt(0.25 / n))


def test_braking_of_nothing_and_a_range_upside_down_are_refused():
    for least in (0.0, 8.5, math.nan):
        with pytest.raises(InputError, match="deceleration_min_mps2 above 0 and at most 8"):
            HazardRanges(deceleration_min_mps2=least)


@pytest.mark.parametrize("leader_share", [0.0, 0.5])
@pytest.mark.parametrize("forced", [None, True, False, HAZARD], ids=["drawn", "always", "never", "given"])
def test_forcing_takes_the_same_draws(forced, leader_share):
    rng, plain = np.random.default_rng(3), np.random.default_rng(3)
    ranges = replace(RANGES, leader_share=leader_share)
    hazard, drawn = draw_hazard(rng, ranges, 3, forced), draw_hazard(plain, ranges, 3, True)
    assert rng.uniform() == plain.uniform()
    assert forced is None or hazard == {True: drawn, False: None, HAZARD: HAZARD}[forced]


@pytest.mark.parametrize("probability", [-0.1, 1.1, math.nan])
@pytest.mark.parametrize("name", ["probability", "stopped_share", "cut_in_share", "leader_share", "stays_share"])
def test_a_share_that_is_none_is_refused(name, probability):
    with pytest.raises(InputError, match=f"{name} from 0 to 1"):
        HazardRanges(**{name: probability})


def test_kinds_share_one_whole():
    with pytest.raises(InputError, match="together"):
        HazardRanges(stopped_share=0.6, cut_in_share=0.6)
