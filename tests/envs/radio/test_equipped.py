"""Radios in other traffic: who is heard, and that their places are honest."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import FORWARD_M, LEFT_M
from roadsense.envs.radio.equipped import EquippedTraffic
from roadsense.envs.sumo.connection import SumoConnection
from roadsense.errors import InputError
from roadsense.scenarios.scenario import open_scenario

HIGHWAY = Path(__file__).parents[3] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
NO_BRAKING = np.zeros(1, np.float32)
N_CONVOY_PEERS = len(open_scenario(HIGHWAY).convoy_ids) - 1


def heard(penetration, seed=0, n_steps=200, **config):
    """The masks (n_steps, 8) and peers (n_steps, 8, 6) of an episode over an ideal radio, and the drawn info."""
    settings = EnvConfig(n_steps=n_steps, v2v="ideal", v2v_randomised=False, penetration=penetration, **config)
    with ConvoyEnv([HIGHWAY], config=settings) as env:
        env.reset(seed=seed, options={"hazard": False})
        seen = [env.step(NO_BRAKING)[0] for _ in range(n_steps)]
    return np.array([one["peer_mask"] for one in seen]), np.array([one["peers"] for one in seen])


def test_without_penetration_the_convoy_alone_is_heard():
    mask, _ = heard(0.0)
    assert mask[:, :N_CONVOY_PEERS].all()
    assert not mask[:, N_CONVOY_PEERS:].any()


def test_with_it_other_cars_fill_the_places_that_are_left():
    mask, peers = heard(1.0)
    assert mask[:, :N_CONVOY_PEERS].all()
    assert mask[:, N_CONVOY_PEERS:].mean() > 0.8
    ways_m = np.hypot(peers[..., 0] * FORWARD_M, peers[..., 1] * LEFT_M)
    assert ways_m[mask > 0].max() < 350


def test_half_the_penetration_is_about_half_the_cars():
    equipped = 0
    for salt in range(5):
        traffic = EquippedTraffic(SumoConnection(), (), 0.5, salt, 3)
        equipped += sum(traffic.is_equipped(f"car.{number}") for number in range(200))
    assert abs(equipped - 500) < 4 * np.sqrt(1000 * 0.25)


def test_the_convoys_messages_are_the_same_with_other_radios_about():
    alone, crowded = heard(0.0)[1], heard(1.0)[1]
    np.testing.assert_array_equal(alone[:, :N_CONVOY_PEERS], crowded[:, :N_CONVOY_PEERS])


def test_a_car_keeps_its_place():
    mask, peers = heard(1.0)
    both = (mask[1:, N_CONVOY_PEERS:] > 0) & (mask[:-1, N_CONVOY_PEERS:] > 0)
    jumps_m = np.abs(np.diff(peers[:, N_CONVOY_PEERS:, 0], axis=0)) * FORWARD_M
    assert (jumps_m[both] > 15).mean() < 0.02  # a place changes hands now and then, and at looks only


def test_same_seed_same_radios_on_both_backends():
    one, other = heard(0.7, n_steps=80), heard(0.7, n_steps=80, backend="traci")
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize("penetration", [-0.1, 1.1])
def test_a_share_that_is_none_is_refused(penetration):
    with pytest.raises(InputError, match="penetration"):
        EnvConfig(penetration=penetration)
