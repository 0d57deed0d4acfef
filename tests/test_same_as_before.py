"""Datasets and observations are those of version 0.1.0 to the last bit; rewards are those of today."""

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
OBSERVATIONS = {
    "highway_fast": "70f9b7029c6ea367e1c5feb7e8e358475d4f162847d3f477e36379e99596c6ff",
    "highway_merge": "801b4d68d43dba99ab406d720df5915662f0e049ddc625fb04e0a1fa126328d6",
    "rural_curve": "0658ca33fa71edb2576ae368cd41197483105d3bcbd03c9be676fa982a7f7409",
    "urban_intersection": "d9aaf5df754d1dc20093252bb1a7d1673ca839779c7e837d6834c389c1f67557",
    "urban_roundabout": "9803bc009fc4efdae669ef5fa0edfbf291197da773691050fbc4b33d83965c5b",
}
"""SHA-256 over every observation of two episodes, with a hazard and without; that of version 0.1.0."""
REWARDS = {
    "highway_fast": "81e98d091155f0187f193d87c6b179bc30384553e23fde59d8e8eb50f595c097",
    "highway_merge": "1171d31e88bf6d6fe70d9e3ff5bce825c4bf99666e592109f3236b15fccc8371",
    "rural_curve": "6ab865366e7792fef9178e7062bcae019abc4c1775686a87df97643d92bc3854",
    "urban_intersection": "db537522e927287318e85d996eed9fbdc22c502b70caab36f5957961a454db20",
    "urban_roundabout": "75f4516fd4bbe1e3ac285164834d2ed69fb19fc8a17f7fa8663c212ac918ffb2",
}
"""SHA-256 over their rewards, as they are since any needless braking costs."""


def hash_episode(observations, rewards, env: ConvoyEnv, seed: int, hazard: bool) -> None:
    rule = BASELINES["heard_braking_rule"]
    observation, _ = env.reset(seed=seed, options={"hazard": hazard})
    over = False
    while not over:
        for part in observation.values():
            observations.update(part.tobytes())
        action = rule({name: part[None] for name, part in observation.items()})[0]
        observation, reward, terminated, truncated, _ = env.step(action)
        rewards.update(np.float64(reward).tobytes())
        over = terminated or truncated


@pytest.mark.parametrize("base", OBSERVATIONS)
def test_episodes_are_the_same_to_the_last_bit(base: str) -> None:
    observations, rewards = hashlib.sha256(), hashlib.sha256()
    with ConvoyEnv([BASE_DIR / base / "scenario.sumocfg"]) as env:
        for seed, hazard in ((7, True), (8, False)):
            hash_episode(observations, rewards, env, seed, hazard)
    assert observations.hexdigest() == OBSERVATIONS[base]
    assert rewards.hexdigest() == REWARDS[base]


def test_a_dataset_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    dataset = generate_dataset(GenConfig(BASE_DIR, tmp_path / "dataset", seed=0, n_train=10, n_eval=5))
    assert dataset.digest == DATASET_DIGEST
