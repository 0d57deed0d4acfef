"""ConvoyEnv on real SUMO: the contract, the faults, and what driving in it is like."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.driver_profile import PERFECT_DRIVER
from roadsense.envs.hazard import Hazard
from roadsense.envs.radio.presets import get_preset
from roadsense.errors import InputError, NoRoomError, ScenarioError, SimulationError
from roadsense.policies.rules import HeardBrakingRule, Unassisted

BASE_DIR = Path(__file__).parents[2] / "scenarios" / "base"
BASES = sorted(BASE_DIR.glob("*/scenario.sumocfg"))
NO_BRAKING = np.zeros(1, np.float32)
FULL_BRAKING = np.ones(1, np.float32)


@pytest.fixture
def env():
    with ConvoyEnv(BASES, config=EnvConfig(n_steps=150)) as env:
        yield env


def drive(env, controller, seed, **options):
    """Drives an episode; returns the observations, rewards and the outcome."""
    observation, _ = env.reset(seed=seed, options=options)
    observations, rewards = [observation], []
    while True:
        action = controller({key: value[None] for key, value in observation.items()})[0]
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            return observations, rewards, info["outcome"]


@pytest.mark.parametrize("config_path", BASES, ids=lambda path: path.parent.name)
@pytest.mark.filterwarnings("ignore:.*Box.*precision.*")
def test_every_base_scenario_passes_gymnasium_s_checker(config_path):
    with ConvoyEnv([config_path], config=EnvConfig(n_steps=50)) as env:
        check_env(env, skip_render_check=True)


@pytest.mark.parametrize("config_path", BASES, ids=lambda path: path.parent.name)
def test_every_base_scenario_passes_the_checker_of_stable_baselines(config_path):
    checker = pytest.importorskip("stable_baselines3.common.env_checker", exc_type=ImportError)
    with ConvoyEnv([config_path], config=EnvConfig(n_steps=50)) as env:
        checker.check_env(env)


def test_it_is_registered_with_gymnasium():
    with gym.make("roadsense/Convoy-v0", scenario_list=BASES) as env:
        observation, info = env.reset(seed=1)
        assert env.observation_space.contains(observation)
        assert info["scenario"] in {path.parent.name for path in BASES}


def test_same_seed_gives_the_same_episode(env):
    first, rewards, _ = drive(env, HeardBrakingRule(), seed=3)
    drive(env, Unassisted(), seed=4)
    second, again, _ = drive(env, HeardBrakingRule(), seed=3)
    assert rewards == again
    for one, other in zip(first, second, strict=True):
        for key in one:
            np.testing.assert_array_equal(one[key], other[key])


def test_same_seed_gives_the_same_episode_in_another_process(env):
    code = (
        "import sys; sys.path.insert(0, 'tests/envs'); from test_convoy_env import *;"
        "env = ConvoyEnv(BASES, config=EnvConfig(n_steps=150)); print(repr(sum(drive(env, Unassisted(), seed=5)[1])))"
    )
    root = BASE_DIR.parents[1]
    other = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == repr(sum(drive(env, Unassisted(), seed=5)[1]))


def test_episodes_visit_all_scenarios(env):
    env.reset(seed=0)
    assert {env.reset()[1]["scenario"] for _ in range(40)} == {path.parent.name for path in BASES}


def test_options_do_not_change_what_else_is_drawn(env):
    _, plain = env.reset(seed=7)
    _, forced = env.reset(seed=7, options={"hazard": True, "v2v": "muted"})
    assert forced["hazard"] is not None
    assert {key: plain[key] for key in ("scenario", "sumo_seed", "driver")} == {
        key: forced[key] for key in ("scenario", "sumo_seed", "driver")
    }


@pytest.mark.parametrize("action", [np.array([np.nan]), np.array([1.5]), np.array([-0.2]), np.zeros(2)])
def test_an_action_that_is_none_is_refused(env, action):
    env.reset(seed=0)
    with pytest.raises(InputError, match="number from 0 to 1"):
        env.step(action)


def test_stepping_or_looking_without_a_reset_names_the_reset(env):
    for look in (lambda: env.step(NO_BRAKING), env.snapshot, lambda: env.describe_vehicle("V001")):
        with pytest.raises(SimulationError, match="reset"):
            look()
    env.reset(seed=0)
    env.close()
    env.close()
    with pytest.raises(SimulationError, match="reset"):
        env.step(NO_BRAKING)


def test_a_second_simulation_in_the_process_is_refused_and_the_first_goes_on(env):
    env.reset(seed=0)
    with ConvoyEnv(BASES) as second, pytest.raises(SimulationError, match="already open"):
        second.reset(seed=0)
    assert env.step(NO_BRAKING)[4]["speed_mps"] > 0


@pytest.mark.parametrize(
    "options", [{"hazrad": True}, {"hazard": "perhaps"}, {"driver": "me"}, {"v2v": "telepathy"}], ids=str
)
def test_wrong_options_are_refused(env, options):
    with pytest.raises(InputError, match="Expected"):
        env.reset(options=options)


def test_scenarios_have_to_come_from_one_source(tmp_path):
    with pytest.raises(InputError):
        ConvoyEnv()
    with pytest.raises(InputError):
        ConvoyEnv(BASES, scenario_dir=BASE_DIR)
    with pytest.raises(ScenarioError, match="none"):
        ConvoyEnv(scenario_dir=tmp_path)


def test_a_scenario_sumo_refuses_names_the_reason_and_the_next_reset_works(env, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(BASES[0].parent, broken)
    routes = broken / "routes.rou.xml"
    routes.write_text(routes.read_text().replace('edges="', 'edges="no_such_edge ', 1))
    with pytest.raises(SimulationError, match="no_such_edge"):
        env.reset(seed=0, options={"scenario": broken / "scenario.sumocfg"})
    before = drive(env, Unassisted(), seed=2)[1]
    assert before == drive(env, Unassisted(), seed=2)[1]


def test_braking_slows_the_ego_and_letting_go_frees_it(env):
    env.reset(seed=1, options={"hazard": False, "scenario": BASES[0]})
    start_mps = env.step(NO_BRAKING)[4]["speed_mps"]
    for _ in range(20):
        info = env.step(FULL_BRAKING)[4]
    assert info["acceleration_mps2"] == pytest.approx(-8.0, abs=0.01)
    assert info["speed_mps"] < start_mps - 10
    for _ in range(30):
        info = env.step(NO_BRAKING)[4]
    assert info["acceleration_mps2"] > 0
    assert abs(info["jerk_mps3"]) <= 16


@pytest.mark.slow
@pytest.mark.parametrize("config_path", BASES, ids=lambda path: path.parent.name)
def test_the_convoy_drives_without_collision_when_nothing_happens(config_path):
    with ConvoyEnv([config_path], config=EnvConfig(step_info=False)) as env:
        outcomes = [drive(env, Unassisted(), seed, hazard=False)[2] for seed in range(100)]
    assert [seed for seed, outcome in enumerate(outcomes) if outcome["collision"]] == []


def test_hazards_are_too_much_for_the_driver_and_not_for_an_assisted_one():
    hazard = Hazard(car=0, onset_s=10.0, deceleration_mps2=8.0)
    n_seeds, collisions = 8, {"unassisted": 0, "rule": 0, "perfect": 0}
    with ConvoyEnv(BASES, config=EnvConfig(n_steps=300)) as env:
        for path in BASES:
            for seed in range(n_seeds):
                shared = {"hazard": hazard, "scenario": path, "v2v": "ideal"}
                collisions["unassisted"] += drive(env, Unassisted(), seed, **shared)[2]["collision"]
                collisions["rule"] += drive(env, HeardBrakingRule(), seed, **shared)[2]["collision"]
                collisions["perfect"] += drive(env, Unassisted(), seed, driver=PERFECT_DRIVER, **shared)[2]["collision"]
    assert collisions["unassisted"] >= 4
    assert collisions["rule"] <= 1
    assert collisions["perfect"] == 0


def test_with_sumos_checks_a_blind_ego_is_kept_safe():
    hazard = Hazard(car=0, onset_s=10.0, deceleration_mps2=8.0)
    with ConvoyEnv(BASES, config=EnvConfig(n_steps=300, sumo_checks=True)) as env:
        outcomes = [
            drive(env, Unassisted(), seed, hazard=hazard, scenario=path)[2] for path in BASES for seed in range(4)
        ]
    assert not any(outcome["collision"] for outcome in outcomes)
    assert sum(outcome["sumo_interventions"] for outcome in outcomes) > 0


def test_a_muted_radio_is_never_heard(env):
    observations, _, _ = drive(env, Unassisted(), seed=0, v2v="muted")
    assert not any(observation["peer_mask"].any() for observation in observations)
    heard, _, _ = drive(env, Unassisted(), seed=0, v2v="ideal")
    assert all(observation["peer_mask"].sum() >= 2 for observation in heard)


def test_the_worker_side_loads_nothing_that_learns():
    code = "import sys, roadsense.envs.convoy_env; print({'torch', 'pandas', 'stable_baselines3'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.fixture
def late_breakdown(tmp_path):
    """A scenario that loads, and that SUMO gives up 20 s later: a car is to depart on a lane that is not there."""
    folder = shutil.copytree(BASES[0].parent, tmp_path / "late_breakdown")
    routes = folder / "routes.rou.xml"
    car = '<vehicle id="nowhere" type="car" route="main" depart="20.00" departLane="9" departPos="0"/>'
    text = routes.read_text()
    route = text.split('<route id="')[1].split('"')[0]
    routes.write_text(text.replace("</routes>", car.replace('"main"', f'"{route}"') + "</routes>"))
    return folder / "scenario.sumocfg"


def test_sumo_stopping_in_an_episode_truncates_it_and_says_why(env, late_breakdown):
    env.reset(seed=0, options={"scenario": late_breakdown, "hazard": False})
    for _ in range(150):
        observation, reward, terminated, truncated, info = env.step(NO_BRAKING)
        if truncated:
            break
    assert "departLane" in info["error"]
    assert (terminated, reward) == (False, 0.0)
    assert env.observation_space.contains(observation)
    assert info["outcome"]["duration_s"] == pytest.approx(10, abs=0.5)
    with pytest.raises(SimulationError, match="reset"):
        env.step(NO_BRAKING)
    assert drive(env, Unassisted(), seed=2)[2]["duration_s"] > 10


def test_a_child_killed_in_an_episode_truncates_it_and_the_next_reset_works():
    with ConvoyEnv(BASES, config=EnvConfig(n_steps=50, backend="traci")) as env:
        env.reset(seed=0)
        env.step(NO_BRAKING)
        children = " ".join(path.read_text() for path in Path("/proc/self/task").glob("*/children")).split()
        (child,) = (pid for pid in children if "sumo" in Path(f"/proc/{pid}/comm").read_text())
        os.kill(int(child), signal.SIGKILL)
        _, _, terminated, truncated, info = env.step(NO_BRAKING)
        assert (terminated, truncated) == (False, True)
        assert "ended with -9" in info["error"]
        assert drive(env, Unassisted(), seed=2)[2]["duration_s"] == pytest.approx(5.0)


def test_a_scenario_may_ask_for_its_radio(tmp_path):
    folder = shutil.copytree(BASES[0].parent, tmp_path / "asking")
    routes = folder / "routes.rou.xml"
    asking = re.sub(
        r'(<vehicle id="V001"[^>]*)/>', r'\1><param key="v2v" value="bursty"/></vehicle>', routes.read_text()
    )
    routes.write_text(asking)
    paths = [folder / "scenario.sumocfg", BASES[1]]
    with ConvoyEnv(paths, config=EnvConfig(v2v="scenario", v2v_randomised=False)) as env:
        radios = [env.reset(seed=0, options={"scenario": path})[1]["v2v"] for path in paths]
        assert radios == [get_preset("bursty"), get_preset("esp_now")]
        assert env.reset(seed=0, options={"scenario": paths[0], "v2v": "ideal"})[1]["v2v"] == get_preset("ideal")
    routes.write_text(asking.replace("bursty", "telepathy"))
    with ConvoyEnv(paths[:1], config=EnvConfig(v2v="scenario")) as env, pytest.raises(InputError, match="telepathy"):
        env.reset(seed=0)


def add_to_routes(tmp_path, text):
    """A copy of a base with further elements before its convoy's; returns its configuration."""
    folder = shutil.copytree(BASES[0].parent, tmp_path / "changed")
    routes = folder / "routes.rou.xml"
    before, convoy, after = routes.read_text().partition('<vehicle id="V')  # SUMO wants them in order of departure
    routes.write_text(before + text + convoy + after)
    return folder / "scenario.sumocfg"


def blocking_flow(config_path, rate):
    """Cars that hardly move, in the ego's place just before it departs."""
    routes = (config_path.parent / "routes.rou.xml").read_text()
    ego = re.search(r'<vehicle id="V001"[^>]*>', routes).group(0)
    place = " ".join(re.search(rf'{name}="[^"]*"', ego).group(0) for name in ("route", "departLane", "departPos"))
    return (
        '<vType id="snail" maxSpeed="0.05" lcStrategic="-1" lcSpeedGain="0" lcKeepRight="0" lcCooperative="-1"/>'
        f'<flow id="blocker" type="snail" {place} begin="8.0" end="9.0" {rate} departSpeed="0" '
        'insertionChecks="none"/>'
    )


def test_an_ego_that_is_never_inserted_is_a_named_error(env, tmp_path):
    blocked = add_to_routes(tmp_path, blocking_flow(BASES[0], 'vehsPerHour="7200"'))
    with pytest.raises(NoRoomError, match="Give them more room"):
        env.reset(seed=0, options={"scenario": blocked})
    assert drive(env, Unassisted(), seed=2)[2]["duration_s"] > 10


def test_where_a_seed_leaves_no_room_the_next_is_tried(env, tmp_path):
    blocked = add_to_routes(tmp_path, blocking_flow(BASES[0], 'probability="0.2"'))
    seeds = []
    for seed in range(12):
        free = env.reset(seed=seed, options={"scenario": BASES[0]})[1]["sumo_seed"]
        observation, info = env.reset(seed=seed, options={"scenario": blocked})
        again, same = env.reset(seed=seed, options={"scenario": blocked})
        assert same["sumo_seed"] == info["sumo_seed"]
        np.testing.assert_array_equal(observation["ego"], again["ego"])
        seeds.append(info["sumo_seed"] - free)
    assert set(seeds) <= {0, 1, 2}
    assert 0 in seeds
    assert max(seeds) > 0


def test_the_class_names_every_key_of_info(env):
    reset_keys = set(env.reset(seed=0)[1])
    step_keys = set(env.step(NO_BRAKING)[4])
    stated = ConvoyEnv.__doc__.split("## Info")[1].split("## Reset options")[0]
    named = set(re.findall(r"`([a-z_0-9]+)`", stated))
    assert named - {"step_info", "reset", "outcome"} == reset_keys | step_keys


def test_a_car_that_the_assist_keeps_standing_loses_what_its_driver_would_gain(env):
    env.reset(seed=3, options={"scenario": BASES[0], "hazard": False})
    over, standing, wish_mps2 = False, [], 0.0
    while not over:
        _, _, terminated, truncated, info = env.step(np.float32([0.5]))
        over = terminated or truncated
        if info["speed_mps"] < 0.1 and wish_mps2 > 0:
            standing.append((wish_mps2, info))
        wish_mps2 = info["driver_mps2"]
    assert standing
    for wish_mps2, info in standing:
        assert info["added_mps2"] == pytest.approx(wish_mps2 + info["assist_mps2"])
        assert info["needed_mps2"] == pytest.approx(info["required_mps2"])
