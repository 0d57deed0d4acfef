"""Hazards on real SUMO: what the convoy and the ego meet."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.driver_profile import PERFECT_DRIVER
from roadsense.envs.hazard import Hazard
from roadsense.envs.hazard_control import CUT_IN_MIN_GAP_M, OBSTACLE_ID
from tests.conftest import CONFIG, convoy, write_base

BASE_DIR = Path(__file__).parents[2] / "scenarios" / "base"
HIGHWAY = BASE_DIR / "highway_fast" / "scenario.sumocfg"
CITY = BASE_DIR / "urban_roundabout" / "scenario.sumocfg"
NO_BRAKING = np.zeros(1, np.float32)


@pytest.fixture
def env():
    with ConvoyEnv([HIGHWAY], config=EnvConfig(n_steps=300)) as env:
        yield env


def drive(env, hazard, seed=0, watch=lambda env: None, **options):
    """Drives an episode without the assist; returns the infos, what was watched in each step, and the outcome."""
    env.reset(seed=seed, options={"hazard": hazard, **options})
    infos, seen = [], []
    while True:
        _, _, terminated, truncated, info = env.step(NO_BRAKING)
        infos.append(info)
        seen.append(watch(env))
        if terminated or truncated:
            return infos, seen, info["outcome"]


def leader_decelerations(infos):
    return -np.diff([info["leader_speed_mps"] for info in infos]) / 0.1


@pytest.mark.parametrize("deceleration", [3.0, 5.5, 8.0])
def test_the_car_ahead_brakes_as_hard_as_drawn(env, deceleration):
    infos, _, outcome = drive(env, Hazard(0, 5.0, deceleration, hold_s=1.0), driver=PERFECT_DRIVER)
    assert outcome["hazard_kind"] == "brake"
    assert outcome["hazard_onset_s"] == pytest.approx(5.0)
    braking = leader_decelerations(infos[50:62])
    assert np.median(braking) == pytest.approx(deceleration, abs=0.05)


def test_a_hazard_that_does_not_resolve_lasts_to_the_end(env):
    infos, _, _ = drive(env, Hazard(0, 5.0, 6.0, hold_s=1.0, resolves=False), driver=PERFECT_DRIVER)
    assert infos[-1]["hazard_active"]
    assert infos[-1]["leader_speed_mps"] == 0.0
    assert 0.5 < infos[-1]["gap_m"] < 6.0


def test_a_standing_vehicle_stops_the_convoy_and_is_taken_away(env):
    def obstacle(env):
        state = env.snapshot().states.get(OBSTACLE_ID)
        return state and state[2]

    hazard = Hazard(0, 5.0, 6.0, hold_s=3.0, kind="stopped")
    infos, speeds, outcome = drive(env, hazard, seed=3, watch=obstacle, driver=PERFECT_DRIVER)
    assert outcome["hazard_kind"] == "stopped"
    assert not outcome["collision"]
    there = [speed is not None for speed in speeds]
    assert sum(there) * 0.1 == pytest.approx(13.0, abs=0.3)
    assert {speed for speed in speeds if speed is not None} == {0.0}
    assert min(info["speed_mps"] for info in infos) < 5.0
    assert infos[-1]["speed_mps"] > 10.0


def test_a_car_cuts_in_between_the_ego_and_its_leader(env):
    gaps_m = []
    for seed in range(6):
        infos, _, outcome = drive(env, Hazard(0, 3.0, 6.0, hold_s=1.0, kind="cut_in"), seed, driver=PERFECT_DRIVER)
        if not outcome["hazard"]:
            continue
        onset = round(outcome["hazard_onset_s"] / 0.1)
        before_m, after_m = infos[onset - 1]["gap_m"], infos[onset + 1]["gap_m"]
        assert CUT_IN_MIN_GAP_M - 1.5 < after_m < before_m - 4.0
        gaps_m.append(after_m)
    assert len(gaps_m) >= 3


def test_where_nobody_can_cut_in_there_is_no_hazard(env):
    hazard = Hazard(0, 3.0, 6.0, kind="cut_in")
    _, _, outcome = drive(env, hazard, scenario=CITY)
    assert (outcome["hazard"], outcome["hazard_kind"]) == (False, "none")


def test_a_hazard_leaves_nothing_to_the_next_episode(env):
    _, _, plain = drive(env, False, seed=5)
    for kind in ("stopped", "cut_in"):
        drive(env, Hazard(0, 3.0, 6.0, kind=kind, resolves=False), seed=5)
    _, _, again = drive(env, False, seed=5)
    assert plain == pytest.approx(again, nan_ok=True)


@pytest.mark.parametrize("kind", ["brake", "stopped", "cut_in"])
def test_every_kind_is_the_same_over_both_backends(kind):
    hazard = Hazard(0, 3.0, 6.0, kind=kind)
    rewards = []
    for backend in ("libsumo", "traci"):
        with ConvoyEnv([HIGHWAY], config=EnvConfig(n_steps=150, backend=backend)) as env:
            infos, _, _ = drive(env, hazard, seed=2, driver=PERFECT_DRIVER)
        rewards.append([(info["gap_m"], info["speed_mps"], info["hazard_active"]) for info in infos])
    assert rewards[0] == rewards[1]
    assert any(active for _, _, active in rewards[0])


def test_a_car_cuts_in_at_once_where_sumo_moves_cars_aside_bit_by_bit(network, tmp_path):
    flow = '<flow id="beside" route="through" begin="0" end="60" vehsPerHour="1200" departLane="1" departPos="240"'
    config = CONFIG.replace("<processing>", '<processing><lateral-resolution value="0.8"/>')
    path = write_base(tmp_path / "road", network, f'{flow} departSpeed="desired"/>{convoy(70.0)}', config)
    n_hazards = 0
    for backend, seeds in (("libsumo", range(6)), ("traci", range(1))):
        with ConvoyEnv([path], config=EnvConfig(n_steps=150, backend=backend)) as env:
            for seed in seeds:
                infos, _, outcome = drive(env, Hazard(0, 3.0, 6.0, hold_s=1.0, kind="cut_in"), seed)
                if outcome["hazard"]:
                    onset = round(outcome["hazard_onset_s"] / 0.1)
                    assert infos[onset + 4]["gap_m"] < infos[onset - 1]["gap_m"] - 4.0
                    n_hazards += 1
    assert n_hazards >= 3


def test_an_ego_that_overtakes_the_convoy_says_so(network, tmp_path):
    cars = convoy(30.0).replace('type="convoy_car"', 'type="slow"').replace('speed="20"', 'speed="8"')
    slow = '<vType id="slow" maxSpeed="8"/><vType id="fast" lcSpeedGain="5" lcKeepRight="0"/>'
    texts = {"ahead": cars, "past": cars.replace('type="ego"', 'type="fast"')}
    seen = {}
    for name, text in texts.items():
        path = write_base(tmp_path / name, network, slow + text.replace('departSpeed="20"', 'departSpeed="8"'))
        with ConvoyEnv([path], config=EnvConfig(n_steps=400)) as env:
            infos, _, outcome = drive(env, False)
        seen[name] = (infos[0]["overtook_leader"], infos[-1]["overtook_leader"], outcome["overtook_leader"])
    assert seen == {"ahead": (False, False, False), "past": (False, True, True)}
