"""What holds on every scenario of a dataset, not only on the base roads."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.scenarios.dataset import SPLITS
from tests.envs.test_convoy_env import BASES

N_STEPS = 60
N_RANDOM_STEPS = 10_000


def rollout(env, seed):
    """Returns the rewards of an episode with random braking."""
    env.reset(seed=seed)
    rng, rewards = np.random.default_rng(seed), []
    while True:
        _, reward, terminated, truncated, _ = env.step(rng.uniform(0, 0.3, 1).astype(np.float32))
        rewards.append(reward)
        if terminated or truncated:
            return rewards


def rollout_of(path, seed):
    with ConvoyEnv([path], config=EnvConfig(n_steps=N_STEPS)) as env:
        return rollout(env, seed)


@pytest.fixture(scope="module")
def scenario_paths(small_dataset):
    return [path for split in SPLITS for path in small_dataset.scenario_paths(split)]


@pytest.mark.filterwarnings("ignore:.*Box.*precision.*")
def test_the_contract_holds_on_every_scenario(scenario_paths):
    for path in scenario_paths:
        with ConvoyEnv([path], config=EnvConfig(n_steps=N_STEPS)) as env:
            check_env(env, skip_render_check=True)
            first = rollout(env, seed=1)
            rollout(env, seed=2)
            assert rollout(env, seed=1) == first
            env.close()
            copy = pickle.loads(pickle.dumps(env))
            assert rollout(copy, seed=1) == first
            copy.close()


def test_other_processes_drive_the_same_episodes(scenario_paths):
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        theirs = list(pool.map(rollout_of, scenario_paths, [5] * len(scenario_paths)))
    assert theirs == [rollout_of(path, 5) for path in scenario_paths]


def test_random_driving_never_leaves_the_spaces():
    rng = np.random.default_rng(0)
    with ConvoyEnv(BASES, config=EnvConfig(n_steps=200)) as env:
        observation, _ = env.reset(seed=0)
        for step in range(N_RANDOM_STEPS):
            assert env.observation_space.contains(observation)
            action = rng.uniform(0, 1, 1).astype(np.float32) * (step % 500 < 250)
            observation, reward, terminated, truncated, _ = env.step(action)
            assert -53.1 <= reward <= 0.3
            if terminated or truncated:
                observation, _ = env.reset()
