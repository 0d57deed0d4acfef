"""The rule that predicts, against the formula it is built on and by what it does."""

import numpy as np
import pytest

from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.metrics import required_deceleration_mps2
from roadsense.envs.observation import EGO_FIELDS, MAX_PEERS, PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
from roadsense.policies.rules import BASELINES, HeardPredictionRule, required_decelerations_mps2

RULE = HeardPredictionRule(threshold_mps2=1.0, margin_m=0.0, car_length_m=5.0)


def hear(speed_mps: float, *peers: dict[str, float]) -> Observation:
    rows, mask = np.zeros((MAX_PEERS, len(PEER_FIELDS))), np.zeros(MAX_PEERS)
    for place, peer in enumerate(peers):
        rows[place] = [peer.get(name, 0.0) for name in PEER_FIELDS] / PEER_SCALE
        mask[place] = 1
    ego = np.zeros(len(EGO_FIELDS))
    ego[0] = speed_mps / SPEED_MPS
    return Observation(
        ego=ego[None].astype(np.float32), peers=rows[None].astype(np.float32), peer_mask=mask[None].astype(np.float32)
    )


def asked_mps2(observation: Observation, rule: HeardPredictionRule = RULE) -> float:
    return assist_deceleration_mps2(float(rule(observation)[0, 0]))


def test_over_arrays_it_is_the_environments_required_deceleration() -> None:
    rng = np.random.default_rng(0)
    gap, speed, leader = rng.uniform(0.5, 60, 500), rng.uniform(0.1, 35, 500), rng.uniform(0, 35, 500)
    braking = np.where(rng.uniform(size=500) < 0.3, 0.0, rng.uniform(0.6, 8, 500))
    expected = [
        required_deceleration_mps2(*values[:2], (values[2], -values[3]))
        for values in zip(gap, speed, leader, braking, strict=True)
    ]
    np.testing.assert_allclose(required_decelerations_mps2(gap, speed, leader, braking), expected, rtol=1e-9)


def test_it_asks_for_what_is_required() -> None:
    # At 20 m/s, 25 m behind the front of a car of 5 m that brakes with 4 m/s2 from 20 m/s: 400 / (2 * 20 + 400 / 4).
    braking = {"forward_m": 25.0, "acceleration_mps2": -4.0}
    assert asked_mps2(hear(20.0, braking)) == pytest.approx(400 / 140, rel=1e-5)
    # A message of 0.2 s ago: the car has come 4 m further.
    assert asked_mps2(hear(20.0, {**braking, "age_s": 0.2})) == pytest.approx(400 / 148, rel=1e-5)


def test_cars_between_take_their_room() -> None:
    first = {"forward_m": 20.0, "acceleration_mps2": 0.0}
    second = {"forward_m": 40.0, "acceleration_mps2": -6.0}
    # 30 m to the second car if the first one's length counts as well.
    assert asked_mps2(hear(20.0, first, second)) == pytest.approx(400 / (60 + 400 / 6), rel=1e-5)
    assert asked_mps2(hear(20.0, second, first)) == asked_mps2(hear(20.0, first, second))


@pytest.mark.parametrize(
    "peers",
    [
        [],
        [{"forward_m": 60.0}],  # as fast as the ego
        [{"forward_m": -20.0, "acceleration_mps2": -8.0}],  # behind
        [{"forward_m": 30.0, "acceleration_mps2": -0.9}],  # noise
        [{"forward_m": 30.0, "acceleration_mps2": -8.0, "age_s": 0.8}],  # too old
    ],
)
def test_it_lets_the_driver_drive(peers: list[dict[str, float]]) -> None:
    assert asked_mps2(hear(20.0, *peers)) == 0.0


def test_it_is_among_the_baselines_and_takes_batches() -> None:
    rule = BASELINES["heard_prediction_rule"]
    one, two = hear(20.0, {"forward_m": 15.0, "acceleration_mps2": -6.0}), hear(10.0)
    batch = Observation(**{name: np.concatenate([one[name], two[name]]) for name in one})
    actions = rule(batch)
    assert actions.shape == (2, 1)
    assert actions[0] > 0.2
    assert actions[1] == 0
