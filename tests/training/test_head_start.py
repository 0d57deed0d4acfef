"""The head start as a whole, in real environments: what the network has learned from the cautious rule."""

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.rules import CautiousRule
from roadsense.training.imitation import demonstrate, imitate
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.env import ConvoyVecEnv
from tests.small_training import BASE_DIR

HIGHWAY = BASE_DIR / "highway_fast" / "scenario.sumocfg"


@pytest.fixture(scope="module")
def env():
    config = TrainConfig(v2v="blocked_antenna", hazard_probability=1.0, episode_steps=300).env_config()
    env = ConvoyVecEnv([HIGHWAY], config, n_workers=2, seed=0)
    yield env
    env.close()


@pytest.fixture(autouse=True)
def one_thread():
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # more wait for each other on a busy machine
    yield
    torch.set_num_threads(n_threads)


def test_the_network_does_as_the_rule_does(env):
    model = PPO("MultiInputPolicy", env, seed=0, policy_kwargs={"features_extractor_class": DeepSetsExtractor})
    imitate(model, demonstrate(env, CautiousRule(), 4000, gamma=0.98), np.random.default_rng(0))
    unseen = demonstrate(env, CautiousRule(), 1500, gamma=0.98)
    actions, _ = model.predict(unseen.observations, deterministic=True)
    brakes_hard = unseen.actions[:, 0] > 0.4
    idles = unseen.actions[:, 0] == 0
    assert brakes_hard.sum() > 20
    assert actions[brakes_hard].mean() > 0.3
    assert np.quantile(actions[idles], 0.9) < 0.1
