"""Imitation on made-up observations: what is learned, and what a demonstration holds."""

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from roadsense.envs.observation import observation_space
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.rules import HeardBrakingRule
from roadsense.training.imitation import Demonstration, demonstrate, imitate


class Drill(gym.Env):
    """One heard car ahead at a random place with a random acceleration; five steps; a reward of 1 a step."""

    observation_space = observation_space()
    action_space = gym.spaces.Box(0.0, 1.0, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.step_number = 0
        return self._observe(), {}

    def step(self, action):
        self.step_number += 1
        return self._observe(), 1.0, self.step_number == 5, False, {}

    def _observe(self):
        peers, peer_mask = np.zeros((8, 8), np.float32), np.zeros(8, np.float32)
        peers[0, :6] = self.np_random.uniform([0.05, -0.1, -0.5, -1.0, -0.1, 0.2], [0.8, 0.1, 0.2, 0.3, 0.1, 1.0])
        peers[0, 7] = peers[0, 3]
        peer_mask[0] = 1
        return {"ego": self.np_random.uniform(0, 1, 4).astype(np.float32), "peers": peers, "peer_mask": peer_mask}


@pytest.fixture
def env():
    env = DummyVecEnv([Drill, Drill])
    env.seed(1)
    return env


def test_a_demonstration_holds_what_was_seen_done_and_earned(env):
    shown = demonstrate(env, HeardBrakingRule(), n_steps=20, gamma=0.5)
    assert shown.observations["peers"].shape == (20, 8, 8)
    np.testing.assert_array_equal(shown.actions, HeardBrakingRule()(shown.observations))
    # Two environments side by side, episodes of five steps: 1 + 1/2 + ... to the episode's end.
    np.testing.assert_allclose(shown.returns[0::2, 0], [1.9375, 1.875, 1.75, 1.5, 1.0] * 2)


def test_the_policy_learns_when_to_brake(env):
    model = PPO("MultiInputPolicy", env, seed=0, policy_kwargs={"features_extractor_class": DeepSetsExtractor})
    imitate(model, demonstrate(env, HeardBrakingRule(), 8000, gamma=0.9), np.random.default_rng(0))
    unseen = demonstrate(env, HeardBrakingRule(), 2000, gamma=0.9)
    actions, _ = model.predict(unseen.observations, deterministic=True)
    brakes = unseen.actions[:, 0] > 0
    assert np.abs(actions[brakes] - unseen.actions[brakes]).mean() < 0.1
    assert (actions[~brakes] > 0.1).mean() < 0.1


def test_braking_less_than_nothing_is_no_error(env):
    model = PPO("MultiInputPolicy", env, seed=0, policy_kwargs={"features_extractor_class": DeepSetsExtractor})
    observations = demonstrate(env, HeardBrakingRule(), 100, gamma=0.9).observations
    idle = Demonstration(observations, np.zeros((100, 1), np.float32), np.zeros((100, 1), np.float32))
    loss = imitate(model, idle, np.random.default_rng(0))
    assert loss < 0.05
    assert (model.predict(observations, deterministic=True)[0] == 0).mean() > 0.9
