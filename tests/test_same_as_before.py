"""Datasets, observations and rewards are those of today to the last bit."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.policies.rules import HeardBrakingRule

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
DATASET_DIGEST = "22c91add955fe3379c90f6f84546c2e8bfb590a8bf88ccc005a59af420abdbca"
OBSERVATIONS = {
    "highway_fast": "5ed9f94981c098a76e9bd5192c2f1e2929ff071c7d065ab82986841a7bab65db",
    "highway_merge": "5f30434912fadc34a0065dc46b5262f682e7baf1028628fbe2ba927a0b165223",
    "rural_curve": "4826b329131d48621b4f4382a42cba650eecafefd8ee1f32ac837a8b40c5e56b",
    "urban_intersection": "6c7bf8ee6ffd11fa14cdc3482a05cfc4e34f87b8646976995a5a57bf62c43d4b",
    "urban_roundabout": "b70a8754c762474a69871aa1ef8015d62f149687ff45cf27e71154bcc9ddc0c0",
}
"""SHA-256 over every observation, version 3, of two episodes, with a hazard and without, with nobody else about."""
REWARDS = {
    "highway_fast": "30e577a1c27483c29393f850533d5bac48505d2cec04b87c22ab886399e40cd9",
    "highway_merge": "6b2a60aa2b49b483caf374f3f80c44c4dd410726055ab26a9998ff05d4f45ad9",
    "rural_curve": "7af0afa944dc2a4e1c8959bb64a0b3421ef19e32b7778cdb8863875d462e65f0",
    "urban_intersection": "41a44495b3c35de94c950e454c0fff1d14b06e2d066cb327090d94e4bd24a26b",
    "urban_roundabout": "7e3b22003058e275b1bbac2e52b5157c1e6703a05f65a1f8de29a44501d40636",
}
"""SHA-256 over their rewards."""


def hash_episode(observations, rewards, env: ConvoyEnv, seed: int, hazard: bool) -> None:
    rule = HeardBrakingRule(threshold_mps2=3.0)
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
