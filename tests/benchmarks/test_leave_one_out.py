"""Leaving a base road out: the policy never sees it, and is judged on it alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.leave_one_out import leave_one_base_out
from roadsense.augment.config import GenConfig
from roadsense.evaluate import EvalConfig
from roadsense.runs.run import open_run
from roadsense.scenarios.dataset import Dataset
from roadsense.train_convoy import TrainConfig
from tests.small_training import TINY


@pytest.mark.slow
def test_a_base_is_left_out_of_training_and_judged_alone(small_config: GenConfig, tmp_path: Path) -> None:
    generation = replace(small_config, n_train=2, n_eval=1)
    training = TrainConfig(**{**TINY, "total_timesteps": 64, "n_workers": 1, "eval_interval": 0})
    judging = EvalConfig(
        "", episodes_per_scenario=1, calm_share=0.0, n_steps=20, workers=1, checks_column=False, split_episodes=0,
        curve_episodes=0, surroundings_episodes=0, gallery_size=0,
    )  # fmt: skip
    table = leave_one_base_out(tmp_path, generation, training, judging, ["slow_road"])
    assert set(table["left_out"]) == {"slow_road"}
    assert table.set_index("policy").loc["policy", "episodes"] == 1
    dataset = Dataset.open(tmp_path / "slow_road" / "dataset")
    assert {record.base for record in dataset.scenarios if record.split == "train"} == {"fast_road"}
    assert open_run(tmp_path / "slow_road" / "run").read_manifest()["dataset_digest"] == dataset.digest
