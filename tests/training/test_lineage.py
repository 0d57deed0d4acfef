"""A run says where it comes from, and how to make it again."""

import json
import shlex

import pytest

from roadsense.errors import RunError
from roadsense.runs.run import Run, create_run
from roadsense.training.lineage import list_commands, trace_lineage
from roadsense.training.train_config import TrainConfig

DIGEST = "0a" * 32


@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    monkeypatch.setenv("TRAINING_JOB_NAME", "roadsense-1")
    monkeypatch.setenv("ROADSENSE_JOB_DATASET_URL", f"s3://bucket/datasets/{DIGEST}")
    monkeypatch.setenv("ROADSENSE_JOB_IMAGE", "registry/roadsense@sha256:ff")
    config = TrainConfig(dataset_dir="/opt/ml/input/data/dataset/train", seed=3, learning_rate=1e-3, n_workers=4)
    return create_run(tmp_path / "run", config, {"dataset_digest": DIGEST})


def test_lineage_leads_from_policy_to_data_code_image_and_job(run):
    run.model_path.write_bytes(b"weights")
    lineage = trace_lineage(run)
    assert "sha256" in lineage["policy"]
    assert lineage["dataset"] == f"s3://bucket/datasets/{DIGEST} (digest {DIGEST})"
    assert lineage["image"] == "registry/roadsense@sha256:ff"
    assert lineage["job"] == "roadsense-1"
    assert lineage["seeds"] == "3"
    assert "torch" in lineage["versions"]


def test_what_was_not_recorded_is_said(tmp_path):
    run = create_run(tmp_path / "run", TrainConfig(), {})
    assert trace_lineage(run)["image"] == "not recorded"
    assert trace_lineage(run)["policy"] == "none yet"


def test_commands_hold_every_setting_that_is_not_the_default(run):
    *_, command = list_commands(run)
    words = shlex.split(command)
    settings = dict(zip(words[2::2], words[3::2], strict=True))
    assert settings == {
        "--dataset_dir": f"s3://bucket/datasets/{DIGEST}/train",
        "--seed": "3",
        "--learning_rate": "0.001",
        "--n_workers": "4",
        "--run_dir": "runs/reproduced",
    }


def test_a_changed_checkout_is_warned_of(run):
    manifest = run.read_manifest() | {"git_commit": "abc", "git_clean": False}
    run.manifest_path.write_text(json.dumps(manifest))
    commands = list_commands(run)
    assert commands[0].startswith("#")
    assert "git checkout abc" in commands


def test_unknown_code_cannot_be_reproduced(run):
    run.manifest_path.write_text(json.dumps(run.read_manifest() | {"git_commit": None}))
    with pytest.raises(RunError, match="which code"):
        list_commands(run)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match="manifest"):
        trace_lineage(Run(tmp_path))
