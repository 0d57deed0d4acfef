"""Policies opened from their files: one trained before the modules moved, and one that diverged."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from roadsense.errors import InputError
from roadsense.policies.trained import load_policy
from tests.exporting.models import DEEP_SETS, build_ppo

ROOT = Path(__file__).parents[2]
OLD_POLICY = ROOT / "tests" / "data" / "run_of_0_1_0" / "model.zip"
ACTIONS_OF_0_1_0 = [0.0843942165, 0.2132806331, 0.0029543154, 0.0, 0.2291608602, 0.5237773657]
"""What version 0.1.0, which trained the policy, asked for on the observations below."""
DRIVE = """
import sys
from pathlib import Path
import numpy as np
from roadsense.envs.config import EnvConfig
from roadsense.envs.observation import Observation
from roadsense.episodes.plan import POLICY, Plan
from roadsense.episodes.run import Worker
from roadsense.policies.trained import load_policy

policy = load_policy(Path(sys.argv[1]))
rng = np.random.default_rng(0)
mask = (rng.uniform(size=(6, 8)) < 0.5).astype(np.float32)
ego = rng.uniform(0, 1, (6, 4)).astype(np.float32)
peers = rng.normal(0, 1, (6, 8, 6)).astype(np.float32) * mask[..., None]
actions = policy(Observation(ego=ego, peers=peers, peer_mask=mask))
row = Worker(EnvConfig(n_steps=20, step_info=False), policy).run(Plan(POLICY, Path(sys.argv[2]), 0, True))
print(*actions.ravel(), row["duration_s"], "roadsense.training" in sys.modules)
"""


def test_a_policy_from_before_the_moves_acts_as_it_did_and_needs_no_training_code() -> None:
    scenario = ROOT / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, OLD_POLICY, scenario], check=True, capture_output=True, text=True
    )
    *actions, duration_s, imports_training = done.stdout.split()
    np.testing.assert_allclose([float(action) for action in actions], ACTIONS_OF_0_1_0, atol=1e-6)
    assert (float(duration_s), imports_training) == (2.0, "False")


@pytest.mark.parametrize("weight", [np.nan, np.inf])
def test_a_policy_that_diverged_is_refused_when_it_is_opened(tmp_path: Path, weight: float) -> None:
    model = build_ppo(**DEEP_SETS)
    with torch.no_grad():
        model.policy.action_net.weight[0, 0] = weight
    model.save(tmp_path / "model.zip")
    with pytest.raises(InputError, match="finite weights, got NaN or infinity"):
        load_policy(tmp_path / "model.zip")
