"""The cautious rule on observations made by hand: when it brakes, how hard, and how fast that changes."""

import numpy as np
import pytest

from roadsense.envs.assist import DEAD_ZONE, assist_deceleration_mps2
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, MAX_PEERS, PEER_FIELDS, PEER_SCALE, Observation
from roadsense.policies.rules import CautiousRule, ConfirmedPredictionRule, Policy, WithFloor, action_for

AT_ONCE = {"build_up_mps2": 100.0, "release_mps2": 100.0}
FAR, NEAR = {"forward_m": 80.0}, {"forward_m": 20.0}
SILENT = {"age_s": 0.5}
BRAKING = {"acceleration_mps2": -6.0}


def observe(*peers: dict[str, float], **ego: float) -> Observation:
    """An observation of one ego at 20 m/s, of itself and of peers given by their physical values."""
    rows, mask = np.zeros((MAX_PEERS, len(PEER_FIELDS))), np.zeros(MAX_PEERS)
    for place, peer in enumerate(peers):
        known = {"steady_acceleration_mps2": peer.get("acceleration_mps2", 0.0), **peer}
        rows[place] = [known.get(name, 0.0) for name in PEER_FIELDS] / PEER_SCALE
        mask[place] = 1
    own = np.array([{"speed_mps": 20.0, **ego}.get(name, 0.0) for name in EGO_FIELDS]) / EGO_SCALE
    batch = (values[None].astype(np.float32) for values in (own, rows, mask))
    return Observation(**dict(zip(("ego", "peers", "peer_mask"), batch, strict=True)))


def asked_mps2(rule: Policy, observation: Observation) -> float:
    action = rule(observation)
    assert action.shape == (1, 1)
    assert 0 <= action.item() <= 1
    return assist_deceleration_mps2(action.item())


@pytest.mark.parametrize(
    ("age_s", "wanted_mps2"), [(0.0, 6.0), (0.2, 6.0), (0.5, 6.0), (0.6, 0.0)], ids=lambda value: str(value)
)
def test_heard_braking_is_believed_for_a_while(age_s, wanted_mps2):
    heard = observe(FAR | BRAKING | {"age_s": age_s})
    assert asked_mps2(CautiousRule(**AT_ONCE), heard) == pytest.approx(wanted_mps2, abs=1e-4)


def test_ordinary_braking_and_cars_behind_are_left_to_the_driver():
    rule = CautiousRule(**AT_ONCE)
    assert asked_mps2(rule, observe(NEAR | {"acceleration_mps2": -4.4})) == 0.0
    assert asked_mps2(rule, observe(BRAKING | {"forward_m": -20.0})) == 0.0
    assert asked_mps2(rule, observe()) == 0.0


def test_it_falls_back_from_a_near_leader_that_is_silent():
    rule = CautiousRule(**AT_ONCE)
    full = pytest.approx(rule.falling_back_mps2, abs=1e-4)
    assert asked_mps2(rule, observe(NEAR | SILENT)) == full
    assert asked_mps2(rule, observe(NEAR)) == 0.0
    assert asked_mps2(rule, observe(FAR | SILENT)) == 0.0
    # The nearest car ahead is the leader, whichever place it has. Cars far ahead may be silent in a good radio, too.
    assert asked_mps2(rule, observe(FAR | SILENT, NEAR)) == 0.0
    assert asked_mps2(rule, observe(FAR, NEAR | SILENT)) == full


@pytest.mark.parametrize(("gap_m", "share"), [(42.0, 0), (36.75, 0.5), (31.5, 1), (5.0, 1)])
def test_it_falls_back_less_the_nearer_it_is_to_two_seconds(gap_m, share):
    rule = CautiousRule(**AT_ONCE)
    # The leader was heard half a second ago and kept its 20 m/s since.
    heard = observe({"forward_m": gap_m + rule.car_length_m - 10.0} | SILENT)
    assert asked_mps2(rule, heard) == pytest.approx(share * rule.falling_back_mps2, abs=1e-3)


def test_a_driver_who_brakes_hard_behind_a_silent_leader_is_helped():
    rule = CautiousRule(**AT_ONCE)
    braking = {"driver_acceleration_mps2": -5.0}
    assert asked_mps2(rule, observe(NEAR | SILENT, **braking)) == pytest.approx(8.0, abs=1e-4)
    assert asked_mps2(rule, observe(NEAR | SILENT, driver_acceleration_mps2=-3.0)) < 1.0
    assert asked_mps2(rule, observe(NEAR, **braking)) == 0.0
    assert asked_mps2(rule, observe(**braking)) == 0.0


@pytest.mark.parametrize(("acceleration", "asked"), [(0.0, 2.5), (1.5, 1.0), (-2.0, 4.5), (-4.0, 6.0)])
def test_braking_grows_step_by_step_from_how_the_car_moves(acceleration, asked):
    heard = observe(FAR | BRAKING, acceleration_mps2=acceleration)
    assert asked_mps2(CautiousRule(), heard) == pytest.approx(asked, abs=1e-4)


def test_braking_is_let_go_step_by_step():
    calm = observe(FAR, assist_deceleration_mps2=6.0, acceleration_mps2=-6.0)
    assert asked_mps2(CautiousRule(), calm) == pytest.approx(4.5, abs=1e-4)


def test_a_car_that_accelerates_hard_is_not_braked_below_nothing():
    assert CautiousRule()(observe(FAR | BRAKING, acceleration_mps2=4.0)).item() <= DEAD_ZONE


def test_a_batch_is_answered_row_by_row():
    cases = [observe(FAR | BRAKING), observe(), observe(NEAR | SILENT)]
    batch = {name: np.concatenate([case[name] for case in cases]) for name in ("ego", "peers", "peer_mask")}
    np.testing.assert_array_equal(CautiousRule()(batch), np.concatenate([CautiousRule()(case) for case in cases]))


NEAR_HARD = {"forward_m": 25.0, "relative_speed_mps": -2.0, "acceleration_mps2": -6.0}
SURE = ConfirmedPredictionRule(cautious=CautiousRule(**AT_ONCE))


def test_a_near_car_that_certainly_brakes_hard_is_answered_as_hard_as_it_brakes_or_harder():
    assert asked_mps2(SURE, observe(NEAR_HARD)) == pytest.approx(6.0, abs=1e-4)
    # 4.5 m are left of 17 m: the car stops after 18^2 / (2 * 6) = 27 m more, so 20^2 / (2 * 31.5) m/s2 are required.
    assert asked_mps2(SURE, observe(NEAR_HARD | {"forward_m": 17.0})) == pytest.approx(400 / 63, abs=1e-3)
    assert asked_mps2(ConfirmedPredictionRule(), observe(NEAR_HARD)) == pytest.approx(2.5, abs=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"forward_m": -25.0},
        {"age_s": 0.6},
        {"acceleration_mps2": -3.0},
        {"steady_acceleration_mps2": -1.0},
        {"forward_m": 150.0},
    ],
    ids=["behind", "heard long ago", "ordinary braking", "a single hard reading", "far off"],
)
def test_what_is_not_certain_is_left_to_the_driver(change):
    assert asked_mps2(SURE, observe(NEAR_HARD | {"steady_acceleration_mps2": -6.0} | change)) < 0.5


def test_both_conditions_have_to_hold_for_the_same_car():
    far = {"forward_m": 150.0, "acceleration_mps2": -6.0}
    near = {"forward_m": 17.0, "relative_speed_mps": -4.0, "acceleration_mps2": -3.0}
    assert asked_mps2(SURE, observe(far, near)) == 0.0


def test_the_cars_between_take_their_length_off_the_distance():
    hard, between = {"forward_m": 30.0, "acceleration_mps2": -6.0}, {"forward_m": 20.0}
    rule = ConfirmedPredictionRule(required_mps2=4.1, cautious=CautiousRule(**AT_ONCE))
    assert asked_mps2(rule, observe(hard)) == 0.0
    assert asked_mps2(rule, observe(hard, between)) == pytest.approx(6.0, abs=1e-4)


def drives(mps2):
    return lambda observation: action_for(np.full(len(observation["ego"]), mps2))[:, None]


@pytest.mark.parametrize(
    ("own_mps2", "age_s", "wanted_mps2"), [(0.0, 0.5, 0.45), (0.3, 0.5, 0.45), (3.0, 0.5, 3.0), (0.0, 0.1, 0.0)]
)
def test_another_policy_falls_back_at_least_as_the_rule_does(own_mps2, age_s, wanted_mps2):
    near = observe({"forward_m": 15.0, "age_s": age_s}, speed_mps=20.0)
    assert asked_mps2(WithFloor(drives(own_mps2)), near) == pytest.approx(wanted_mps2, abs=1e-3)


@pytest.mark.parametrize(("own_mps2", "wanted_mps2"), [(0.0, 2.5), (6.0, 6.0)])
def test_another_policy_answers_certain_braking_at_least_as_the_rule_does(own_mps2, wanted_mps2):
    assert asked_mps2(WithFloor(drives(own_mps2)), observe(NEAR_HARD)) == pytest.approx(wanted_mps2, abs=1e-3)


def test_another_policy_helps_a_driver_who_brakes_behind_a_silent_leader():
    silent = observe({"forward_m": 15.0, "age_s": 0.5}, speed_mps=20.0, driver_acceleration_mps2=-5.0)
    assert asked_mps2(WithFloor(drives(0.0)), silent) == pytest.approx(2.5, abs=1e-3)
