"""The exported files of the model in the box drive as its network does, in the same episodes."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.exporting.c_proof import CPolicy
from roadsense.policies.models import load_model
from roadsense.policies.tflite import TflitePolicy
from roadsense.policies.trained import load_policy
from tests.driving import drive
from tests.exporting.test_c_policy import COMPILER, write_sources

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "models" / "default"
N_EPISODES, N_STEPS = 5, 200


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """What each form of the policy did, by its name, episode by episode."""
    policies = {
        "network": load_policy(MODEL),
        "float32": TflitePolicy(MODEL / "policy.tflite"),
        "int8": TflitePolicy(MODEL / "policy_int8.tflite"),
    }
    if COMPILER is not None:
        sources = write_sources(tmp_path_factory.mktemp("sources"), load_model(MODEL / "model.zip"))
        policies["c"] = CPolicy(sources, COMPILER)
    env = ConvoyEnv(
        scenario_dir=ROOT / "scenarios" / "base",
        config=EnvConfig(n_steps=N_STEPS, surroundings="mixed", sensors="mixed", step_info=False),
    )
    try:
        roads = [env.scenario_paths[seed % len(env.scenario_paths)] for seed in range(N_EPISODES)]
        return {name: [drive(env, one, *plan) for plan in enumerate(roads)] for name, one in policies.items()}
    finally:
        env.close()


@pytest.mark.parametrize("name", ["float32", "c"])
def test_float32_and_plain_c_decide_as_the_network_step_by_step(driven, name):
    if name not in driven:
        pytest.skip("no C compiler on this machine")
    n_braking = 0
    for (actions, collided), (expected, expected_collided) in zip(driven[name], driven["network"], strict=True):
        assert collided == expected_collided
        np.testing.assert_allclose(actions, expected, rtol=0, atol=1e-4)
        n_braking += (expected > 0).sum()
    assert n_braking > 20


def test_int8_brakes_when_the_network_does(driven):
    for (actions, collided), (expected, expected_collided) in zip(driven["int8"], driven["network"], strict=True):
        assert collided == expected_collided
        n = min(len(actions), len(expected))
        assert n > N_STEPS / 2 or collided
        assert np.abs(actions[:n] - expected[:n]).mean() < 0.03
        assert ((actions[:n] > 0.3) != (expected[:n] > 0.3)).mean() < 0.05
