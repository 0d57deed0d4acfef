"""Controllers on observations made by hand, and trained policies against what they were trained as."""

from collections.abc import Sequence

import numpy as np
import pytest

from roadsense.envs.assist import DEAD_ZONE, assist_deceleration_mps2
from roadsense.envs.observation import EGO_FIELDS, MAX_PEERS, PEER_FIELDS, PEER_SCALE, Observation
from roadsense.policies.rules import (
    BASELINES,
    AlwaysBrake,
    HeardBrakingRule,
    HeardDracRule,
    Policy,
    Unassisted,
    action_for,
)


def hear(*peers: dict[str, float], heard: Sequence[bool] | None = None) -> Observation:
    """An observation of one ego that hears peers given by their physical values."""
    rows = np.zeros((MAX_PEERS, len(PEER_FIELDS)))
    mask = np.zeros(MAX_PEERS)
    for place, peer in enumerate(peers):
        rows[place] = [peer.get(name, 0.0) for name in PEER_FIELDS] / PEER_SCALE
        mask[place] = heard[place] if heard else 1
    ego = np.zeros((1, len(EGO_FIELDS)), np.float32)
    return Observation(ego=ego, peers=rows[None].astype(np.float32), peer_mask=mask[None].astype(np.float32))


def asked_mps2(controller: Policy, observation: Observation) -> float:
    action = controller(observation)
    assert action.shape == (1, 1)
    assert 0 <= action.item() <= 1
    return assist_deceleration_mps2(action.item())


BRAKING = {"forward_m": 40.0, "acceleration_mps2": -3.5}


@pytest.mark.parametrize("deceleration", [0.1, 2.0, 7.9, 8.0])
def test_action_asks_for_the_deceleration(deceleration: float) -> None:
    assert assist_deceleration_mps2(action_for(np.array(deceleration)).item()) == pytest.approx(deceleration, abs=1e-5)


def test_action_of_none_and_of_more_than_full_braking() -> None:
    assert action_for(np.array(0.0)) == 0.0 < DEAD_ZONE
    assert action_for(np.array(30.0)) == 1.0


def test_null_policies_do_not_listen() -> None:
    for observation in (hear(), hear(BRAKING)):
        assert asked_mps2(Unassisted(), observation) == 0.0
        assert asked_mps2(AlwaysBrake(3.0), observation) == pytest.approx(3.0, abs=1e-5)


def test_rule_brakes_like_the_car_it_hears() -> None:
    assert asked_mps2(HeardBrakingRule(), hear(BRAKING)) == pytest.approx(3.5, abs=1e-5)
    assert asked_mps2(HeardBrakingRule(gain=2.0), hear(BRAKING)) == pytest.approx(7.0, abs=1e-5)


def test_rule_brakes_like_the_hardest_of_several() -> None:
    harder = {"forward_m": 90.0, "acceleration_mps2": -6.0}
    assert asked_mps2(HeardBrakingRule(), hear(BRAKING, harder, {"forward_m": 20.0})) == pytest.approx(6.0, abs=1e-5)


@pytest.mark.parametrize(
    ("case", "observation"),
    [
        ("nobody is heard", hear()),
        ("the message is not in the mask", hear(BRAKING, heard=[False])),
        ("the car is behind", hear(BRAKING | {"forward_m": -10.0})),
        ("the message is old", hear(BRAKING | {"age_s": 0.6})),
        ("ordinary braking", hear({"forward_m": 40.0, "acceleration_mps2": -2.4})),
        ("it accelerates", hear({"forward_m": 40.0, "acceleration_mps2": 3.5})),
    ],
)
def test_rule_leaves_the_rest_to_the_driver(case: str, observation: Observation) -> None:
    assert asked_mps2(HeardBrakingRule(), observation) == 0.0, case


def test_rule_trusts_old_messages_as_long_as_it_is_told() -> None:
    half_a_second = hear(BRAKING | {"age_s": 0.5})
    assert asked_mps2(HeardBrakingRule(), half_a_second) == pytest.approx(3.5, abs=1e-5)
    assert asked_mps2(HeardBrakingRule(max_age_s=0.4), half_a_second) == 0.0
    assert asked_mps2(HeardBrakingRule(max_age_s=2.0), hear(BRAKING | {"age_s": 2.0})) == pytest.approx(3.5, abs=1e-5)


def test_drac_rule_brakes_as_the_nearest_approach_asks() -> None:
    # 10 m/s faster, 25 m between the bumpers: 10^2 / (2 * 25) = 2 m/s2.
    assert asked_mps2(HeardDracRule(), hear({"forward_m": 29.5, "relative_speed_mps": -10.0})) == pytest.approx(
        2.0, abs=1e-4
    )


@pytest.mark.parametrize(
    "peer",
    [
        {"forward_m": 29.5, "relative_speed_mps": 10.0},
        {"forward_m": -29.5, "relative_speed_mps": -10.0},
        {"forward_m": 80.0, "relative_speed_mps": -10.0},
        {"forward_m": 29.5, "relative_speed_mps": -10.0, "age_s": 0.6},
    ],
    ids=["driving away", "behind", "far off", "heard long ago"],
)
def test_drac_rule_leaves_the_rest_to_the_driver(peer: dict[str, float]) -> None:
    assert asked_mps2(HeardDracRule(), hear(peer)) == 0.0


def test_drac_rule_is_finite_at_contact() -> None:
    assert asked_mps2(HeardDracRule(), hear({"forward_m": 0.5, "relative_speed_mps": -10.0})) == pytest.approx(8.0)


@pytest.mark.parametrize("name", BASELINES)
def test_a_batch_gives_what_its_members_give(name: str) -> None:
    rng = np.random.default_rng(0)
    batch = Observation(
        ego=rng.normal(size=(50, len(EGO_FIELDS))).astype(np.float32),
        peers=rng.normal(size=(50, MAX_PEERS, len(PEER_FIELDS))).astype(np.float32),
        peer_mask=rng.integers(2, size=(50, MAX_PEERS)).astype(np.float32),
    )
    actions = BASELINES[name](batch)
    assert actions.shape == (50, 1)
    assert actions.dtype == np.float32
    for place in range(50):
        one = Observation(**{key: values[place : place + 1] for key, values in batch.items()})
        np.testing.assert_array_equal(BASELINES[name](one)[0], actions[place])
