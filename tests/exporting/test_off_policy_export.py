"""SAC and TQC go all the way through `roadsense export`, int8 and plain C with it."""

import json

import numpy as np
import pytest

from roadsense.cli import main
from roadsense.policies.tflite import TflitePolicy
from roadsense.policies.trained import load_policy
from tests.exporting.models import draw
from tests.small_training import train_tiny


@pytest.mark.parametrize("algorithm", ["sac", "tqc"])
def test_a_trained_policy_is_exported_to_the_end(algorithm, small_dataset, tmp_path, capsys):
    run_dir = tmp_path / algorithm
    settings = {"learning_starts": 100, "total_timesteps": 300, "episode_steps": 300}
    train_tiny(run_dir, dataset_dir=str(small_dataset.folder / "train"), algorithm=algorithm, **settings)
    words = ["--n_observations=300", "--n_calibration=300", "--episodes_per_scenario=1", "--workers=2"]
    assert main(["export", str(run_dir), *words]) == 0
    assert "policy_int8.tflite" in capsys.readouterr().out
    card = json.loads((run_dir / "export" / "model_card.json").read_text())
    assert card["training"]["algorithm"] == algorithm
    assert set(card["files"]) == {"policy.tflite", "policy_int8.tflite"}
    assert card["c"]["difference"]["max"] <= 1e-5
    assert card["closed_loop"]["comparisons"]["int8"]["episodes"] == 2
    trained, observations = load_policy(run_dir), draw(50)
    exported = TflitePolicy(run_dir / "export" / "policy.tflite")
    np.testing.assert_allclose(exported(observations), trained(observations), rtol=0, atol=1e-5)
