"""The environment as people use others: settings in a mapping, NumPy's seeds, actions in lists, scenarios by name."""

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

from roadsense.envs.config import RewardWeights
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.draw import read_options
from roadsense.envs.make import make_env
from roadsense.errors import InputError
from roadsense.training.vec.env import make_vec_env

BASE = Path(__file__).parents[2] / "scenarios" / "base"
CONFIG = next((BASE / "highway_fast").glob("*.sumocfg"))


@pytest.fixture(scope="module")
def env():
    with ConvoyEnv(scenario_dir=BASE) as made:
        yield made


def test_settings_may_be_a_mapping_as_libraries_hand_them_over():
    settings = {"n_steps": 5, "weights": {"jerk": -1.0}}
    env = gymnasium.make("roadsense.envs:roadsense/Convoy-v0", scenario_dir=BASE, config=settings)
    assert (env.unwrapped.config.n_steps, env.unwrapped.config.weights) == (5, RewardWeights(jerk=-1.0))
    assert make_env(BASE, {"n_steps": 5}).config.n_steps == 5
    with pytest.raises(InputError, match=r"settings of EnvConfig, .*got \['steps'\]"):
        make_env(BASE, {"steps": 5})
    with pytest.raises(InputError, match=r"got \['steps'\]"):
        make_vec_env(BASE, 1, {"steps": 5})


@pytest.mark.parametrize("paths", [str(CONFIG), CONFIG, [CONFIG]], ids=["text", "path", "list"])
def test_a_scenario_may_stand_alone(paths):
    assert ConvoyEnv(paths).scenario_paths == make_env(paths).scenario_paths == (CONFIG,)


@pytest.mark.parametrize("asked", ["highway_fast", BASE / "highway_fast", str(BASE / "highway_fast"), CONFIG], ids=str)
def test_a_scenario_is_asked_for_by_its_name_its_folder_or_its_file(env, asked):
    assert env.reset(seed=0, options={"scenario": asked})[1]["scenario"] == "highway_fast"


def test_a_seed_of_numpy_is_a_seed(env):
    assert env.reset(seed=np.int64(3))[1]["sumo_seed"] == env.reset(seed=3)[1]["sumo_seed"]


@pytest.mark.parametrize(
    "action", [[0.3], (0.3,), [np.float32(0.3)], 0.3, torch.tensor([[0.3]]), np.array(0.3)], ids=str
)
def test_one_number_in_any_shape_is_an_action(env, action):
    env.reset(seed=3)
    assert env.step(action)[4]["assist_mps2"] == pytest.approx(8 * (0.3 - 0.05) / 0.95, abs=1e-6)


@pytest.mark.parametrize(
    "action", [[0.3, 0.4], [], ["0.3"], torch.tensor([0.1, 0.2]), np.array([None]), [[0.3]]], ids=str
)
def test_what_is_not_one_number_is_refused(env, action):
    env.reset(seed=3)
    with pytest.raises(InputError, match="one number from 0 to 1"):
        env.step(action)


def test_options_are_read_as_settings_are():
    given = {"hazard": np.bool_(True), "decoy": "false", "time_headway_s": np.float32(1.5), "v2v": None}
    assert read_options(given) == {"hazard": True, "decoy": False, "time_headway_s": 1.5}
    assert read_options({"time_headway_s": 2}) == {"time_headway_s": 2}


@pytest.mark.parametrize(
    "options", [[1], {"scenario": 3}, {"time_headway_s": -1}, {"time_headway_s": "soon"}, {"decoy": 2}], ids=str
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(InputError, match=r"Expected (reset options|the option)"):
        read_options(options)
