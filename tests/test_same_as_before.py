"""Datasets and episodes are the same to the last bit as those of version 0.1.0, made before the modules were moved."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.policies.baselines import BASELINES

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
DATASET_DIGEST = "ec8c5fcad65b5d8ccc56c46fa9be0f44015b8470146480e3477d374de3dbba1b"
EPISODES = {
    "highway_fast": "4e4e08356f528ed1ac5fd4ad7cb0bbe96e5d56fd414df13b56fb3199b58d30ce",
    "highway_merge": "e280d7d14c40b4ffe950d725b6cf862806b991735f0aaae4c3221c31e4b4de1c",
    "rural_curve": "dc69b4a54b21bb3214bbf8cf7a0101c0f19b65123ca89b7d25d6ca0beebf439e",
    "urban_intersection": "be07736ea12cb800de1317c312083a3184f4d188aa427f4497995d7b85399473",
    "urban_roundabout": "9230180785c7937e22bfc2224688045e82f932c995b8dfa0ebe197ec21425b43",
}
"""SHA-256 over every observation and reward of two episodes, with a hazard and without."""


def hash_episode(digest, env: ConvoyEnv, seed: int, hazard: bool) -> None:
    rule = BASELINES["heard_braking_rule"]
    observation, _ = env.reset(seed=seed, options={"hazard": hazard})
    over = False
    while not over:
        for part in observation.values():
            digest.update(part.tobytes())
        action = rule({name: part[None] for name, part in observation.items()})[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        digest.update(np.float64(reward).tobytes())
        over = terminated or truncated


@pytest.mark.parametrize("base", EPISODES)
def test_episodes_are_the_same_to_the_last_bit(base: str) -> None:
    digest = hashlib.sha256()
    with ConvoyEnv([BASE_DIR / base / "scenario.sumocfg"]) as env:
        for seed, hazard in ((7, True), (8, False)):
            hash_episode(digest, env, seed, hazard)
    assert digest.hexdigest() == EPISODES[base]


def test_a_dataset_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    dataset = generate_dataset(GenConfig(BASE_DIR, tmp_path / "dataset", seed=0, n_train=10, n_eval=5))
    assert dataset.digest == DATASET_DIGEST
