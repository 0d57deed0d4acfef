"""The assist's authority: how action becomes deceleration, who wins, and how fast the brake acts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.envs.assist import apply_brake_mps2, arbitrate_mps2, assist_deceleration_mps2

STEP_S = 0.1


@pytest.mark.parametrize("action", [0.0, 0.01, 0.049, 0.05])
def test_small_actions_leave_the_car_to_its_driver(action):
    assert assist_deceleration_mps2(action) == 0.0
    assert arbitrate_mps2(1.5, assist_deceleration_mps2(action)) == 1.5


@pytest.mark.parametrize(("action", "deceleration"), [(1.0, 8.0), (0.525, 4.0), (0.05 + 0.95 / 8, 1.0)])
def test_an_action_asks_for_its_share_of_full_braking(action, deceleration):
    assert assist_deceleration_mps2(action) == pytest.approx(deceleration)


def test_more_action_never_brakes_less_and_never_jumps():
    decelerations = np.array([assist_deceleration_mps2(action) for action in np.linspace(0, 1, 1001)])
    steps = np.diff(decelerations)
    assert (steps >= 0).all()
    assert steps.max() < 0.01


@pytest.mark.parametrize(
    ("driver", "assist", "together"),
    [(1.0, 0.0, 1.0), (1.0, 3.0, -3.0), (-5.0, 3.0, -5.0), (-2.0, 3.0, -3.0), (-6.0, 0.0, -6.0)],
)
def test_the_stronger_brakes(driver, assist, together):
    assert arbitrate_mps2(driver, assist) == together


def test_the_assist_can_not_accelerate():
    assert arbitrate_mps2(-4.0, 0.5) == -4.0


def settle(wanted, start, n_steps):
    course = [start]
    for _ in range(n_steps):
        course.append(apply_brake_mps2(wanted, course[-1], STEP_S))
    return course


def test_full_braking_is_there_after_two_tenths_of_a_second():
    assert settle(-8.0, 0.0, 3) == pytest.approx([0.0, -4.0, -8.0, -8.0])


def test_braking_is_let_go_by_15_mps3():
    assert settle(0.0, -8.0, 6) == pytest.approx([-8.0, -6.5, -5.0, -3.5, -2.0, -0.5, 0.0])


@given(
    wanted=st.floats(-9, 3),
    previous=st.floats(-9, 3),
    step_s=st.sampled_from([0.01, 0.1, 0.5]),
)
def test_jerk_stays_within_both_limits_and_moves_towards_what_is_wanted(wanted, previous, step_s):
    applied = apply_brake_mps2(wanted, previous, step_s)
    jerk = (applied - previous) / step_s
    assert -40 - 1e-6 <= jerk <= 15 + 1e-6
    assert min(wanted, previous) <= applied <= max(wanted, previous)
