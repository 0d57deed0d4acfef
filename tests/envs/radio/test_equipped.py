"""Radios in other traffic: who carries one, who is followed, and that nobody's draws change another's."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import FORWARD_M, LEFT_M
from roadsense.envs.radio.equipped import EquippedTraffic
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.errors import InputError

HIGHWAY = Path(__file__).parents[3] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
NO_BRAKING = np.zeros(1, np.float32)


def heard(penetration, seed=0, n_steps=100, **config):
    """The masks (n_steps, 8), peers (n_steps, 8, 8) and messages of an episode over an ideal radio."""
    settings = EnvConfig(n_steps=n_steps, v2v="ideal", v2v_randomised=False, penetration=penetration, **config)
    with ConvoyEnv([HIGHWAY], config=settings) as env:
        env.reset(seed=seed, options={"hazard": False})
        seen = [env.step(NO_BRAKING) for _ in range(n_steps)]
    n_heard = seen[-1][-1]["outcome"]["messages_heard"]
    return np.array([one[0]["peer_mask"] for one in seen]), np.array([one[0]["peers"] for one in seen]), n_heard


@pytest.fixture(scope="module")
def alone():
    return heard(0.0)


@pytest.fixture(scope="module")
def crowded():
    return heard(1.0)


def test_without_penetration_the_convoy_alone_is_heard(alone):
    mask, _, n_heard = alone
    assert mask.sum(axis=1).max() == 5
    assert n_heard == 5 * 101


def test_with_it_more_are_heard_and_those_ahead_are_seen_the_nearest_first(crowded):
    mask, peers, n_heard = crowded
    assert n_heard > 7 * 101
    assert mask.sum(axis=1).mean() > 5
    forward_m = np.where(mask > 0, peers[..., 0] * FORWARD_M, np.inf)
    assert forward_m.min() > 0
    assert np.abs(peers[..., 1] * LEFT_M)[mask > 0].max() < 60
    nearest_first = np.diff(np.where(mask > 0, forward_m, 1e6), axis=1)
    assert (nearest_first > -5).all()  # ways along an arc and straight ahead are not quite the same


def test_half_the_penetration_is_about_half_the_cars():
    equipped = 0
    for salt in range(5):
        traffic = EquippedTraffic(SumoConnection(), (), 0.5, salt, 3)
        equipped += sum(traffic.is_equipped(f"car.{number}") for number in range(200))
    assert abs(equipped - 500) < 4 * np.sqrt(1000 * 0.25)


def test_the_convoys_messages_are_the_same_with_other_radios_about(alone, crowded):
    (mask, few, _), (_, many, _) = alone, crowded
    for step in range(0, len(mask), 10):
        known = {row.tobytes() for row in many[step]}
        leader = few[step][0]
        assert leader.tobytes() in known


def test_same_seed_same_radios_on_both_backends():
    one, other = heard(0.7, n_steps=40), heard(0.7, n_steps=40, backend="traci")
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("penetration", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(penetration):
    with pytest.raises(InputError, match="penetration"):
        EnvConfig(penetration=penetration)
