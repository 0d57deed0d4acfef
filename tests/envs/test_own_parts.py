"""Reward, observation and hazard of the user's own: what the page shows works, and a run notes whose code it was."""

import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import observation_space
from roadsense.errors import InputError, RunError, SimulationError
from roadsense.train_convoy import TrainConfig, train_policy
from roadsense.training.vec.env import ConvoyVecEnv
from tests.small_training import stop_tiny, train_tiny

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "extending.md"
MORE = """
def no_hazard(rng, scenario):
    return None

def wrong_hazard(rng, scenario):
    return "ice"

nothing = 3
"""


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """The page's module under a name of this test's own, as modules stay imported."""
    code = re.search(r"```python\n(# my_parts\.py\n.*?)```", PAGE.read_text(), re.S)[1]
    ego, peers = (observation_space()[name].shape for name in ("ego", "peers"))
    code = code.replace("(4 + 8,)", f"({ego[0]} + {peers[1]},)")
    name = re.sub(r"\W", "_", f"parts_{tmp_path.parent.name}_{tmp_path.name}")
    (tmp_path / f"{name}.py").write_text(code + MORE)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def scenarios(small_dataset):
    return small_dataset.folder / "eval"


def test_the_parts_of_the_page_work(parts, scenarios):
    own = {"reward": f"{parts}:reward", "observation": f"{parts}:nearest", "hazard": f"{parts}:late_and_hard"}
    with ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(n_steps=3, **own)) as env:
        observation, info = env.reset(seed=1, options={"hazard": True})
        assert env.observation_space.contains(observation)
        assert (info["hazard"].car, info["hazard"].deceleration_mps2) == (0, 8.0)
        assert 15 <= info["hazard"].onset_s <= 25
        _, reward, _, _, figures = env.step(np.ones(1, np.float32))
    expected = -0.1 * figures["assist_mps2"] + 0.02 * min(figures["gap_m"], 40.0) / 40.0
    assert reward == pytest.approx(expected)


def test_a_hazard_of_ones_own_changes_no_other_draw(parts, scenarios):
    infos = []
    for hazard in ("", f"{parts}:no_hazard"):
        with ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(n_steps=3, hazard=hazard)) as env:
            infos.append(env.reset(seed=1, options={"hazard": True})[1])
    assert infos[1]["hazard"] is None is not infos[0]["hazard"]
    assert all(infos[0][name] == infos[1][name] for name in ("scenario", "driver", "v2v", "sumo_seed"))


def test_what_is_no_part_is_said(parts, scenarios):
    with pytest.raises(InputError, match="module:name"):
        ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(reward="no_such_module:reward"))
    with pytest.raises(InputError, match="which is none"):
        ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(reward=f"{parts}:nothing"))
    with pytest.raises(InputError, match="attribute `space`"):
        ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(observation=f"{parts}:reward"))
    with (
        ConvoyEnv(scenario_dir=scenarios, config=EnvConfig(hazard=f"{parts}:wrong_hazard")) as env,
        pytest.raises(InputError, match="expected a Hazard of a car"),
    ):
        env.reset(seed=1, options={"hazard": True})
    with pytest.raises(InputError, match="share memory"):
        ConvoyVecEnv([scenarios], EnvConfig(observation=f"{parts}:nearest"), 1)


def test_a_run_notes_whose_code_it_was_and_refuses_a_change(parts, tmp_path):
    run = train_tiny(tmp_path / "run", total_timesteps=64, eval_interval=0, reward=f"{parts}:reward")
    noted = run.read_manifest()["own_code"]["reward"]
    assert noted["name"] == f"{parts}:reward"
    assert len(noted["sha256"]) == 64
    stopped = stop_tiny(tmp_path / "stopped", 64, eval_interval=0, reward=f"{parts}:reward")
    with (tmp_path / f"{parts}.py").open("a") as file:
        file.write("# changed")
    with pytest.raises(RunError, match="was changed since"):
        train_policy(TrainConfig(resume=str(stopped.folder)))


def test_gymnasiums_async_vector_environment_works_and_its_sync_one_says_why_not(scenarios):
    name, settings = "roadsense.envs:roadsense/Convoy-v0", {"scenario_dir": scenarios, "config": EnvConfig(n_steps=3)}
    envs = gymnasium.make_vec(name, num_envs=2, vectorization_mode="async", **settings)
    observation, _ = envs.reset(seed=1)
    assert observation["ego"].shape == (2, *observation_space()["ego"].shape)
    assert envs.step(np.zeros((2, 1), np.float32))[1].shape == (2,)
    envs.close()
    envs = gymnasium.make_vec(name, num_envs=2, vectorization_mode="sync", **settings)
    with pytest.raises(SimulationError, match="async"):
        envs.reset(seed=1)
    envs.close()
