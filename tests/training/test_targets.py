"""A training logged where people look: TensorBoard's file, MLflow's run and W&B's are read back."""

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from roadsense.errors import InputError
from roadsense.training.targets import TARGETS, check_targets, find_parents
from tests.small_training import TINY, train_tiny

SMALL = {"total_timesteps": 128, "eval_interval": 0}


def read_events(folder):
    """Scalars of a TensorBoard file, by name and step: each record is a length, its sum, an event and its sum."""
    from tensorboardX.proto.event_pb2 import Event

    (path,) = folder.glob("events.out.tfevents.*")
    content, place, found, texts = path.read_bytes(), 0, {}, []
    while place < len(content):
        (length,) = struct.unpack_from("<Q", content, place)
        event = Event.FromString(content[place + 12 : place + 12 + length])
        place += 12 + length + 4
        for value in event.summary.value:
            if value.WhichOneof("value") == "simple_value":
                found[value.tag, event.step] = value.simple_value
            else:
                texts.append(value.tag)
    return found, texts


def lines_of(run):
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines()]


def test_tensorboards_file_has_the_metrics_of_the_run_and_tensorflow_stays_out(tmp_path):
    pytest.importorskip("tensorboardX")
    options = [f"--{name}={value}" for name, value in {**TINY, **SMALL, "run_dir": tmp_path / "run"}.items()]
    code = (
        "import sys; from roadsense.cli import main; code = main(['train', *sys.argv[1:]]);"
        "print('tensorflow' in sys.modules, 'tensorboard' in sys.modules, code)"
    )
    command = [sys.executable, "-c", code, *options, "--log", "tensorboard"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False False 0"
    found, texts = read_events(tmp_path / "run" / "tensorboard")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) >= 2
    for line in lines:
        for name in line.keys() & {"steps_per_s", "episodes", "reward_mean", "collision_rate"}:
            assert found[name, line["timesteps"]] == pytest.approx(line[name], rel=1e-6)
    assert texts == ["config/text_summary"]


def test_mlflow_has_parameters_metrics_model_and_nested_seeds(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)
    run = train_tiny(tmp_path / "exp", seeds=(1, 2), log=("mlflow",), **SMALL)
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("roadsense").experiment_id])
    by_name = {one.info.run_name: one for one in runs}
    assert set(by_name) == {"exp", "seed_1", "seed_2"}
    own = by_name[run.folder.name]
    assert own.data.tags["mlflow.parentRunId"] == by_name["exp"].info.run_id
    assert own.data.tags["train_digest"] == run.read_manifest()["train_digest"]
    assert own.data.params["total_timesteps"] == "128"
    assert own.info.status == "FINISHED"
    points = client.get_metric_history(own.info.run_id, "episodes")
    assert {point.step: point.value for point in points} == {
        line["timesteps"]: line["episodes"] for line in lines_of(run)
    }
    assert {one.path for one in client.list_artifacts(own.info.run_id)} == {"model.zip", "manifest.json"}


def test_wandb_is_written_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = train_tiny(tmp_path / "run", log=("wandb",), **SMALL)
    (folder,) = (run.folder / "wandb").glob("offline-run-*")
    (record,) = folder.glob("run-*.wandb")
    assert b"reward_mean" in record.read_bytes()
    assert json.loads((run.folder / "log_ids.json").read_text())["wandb"] in record.name


def test_a_target_that_is_not_known_or_not_installed_is_said_before_anything_begins(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="expected targets of tensorboard, mlflow, wandb, got 'paper'"):
        train_tiny(tmp_path / "run", log=("paper",))
    monkeypatch.setitem(TARGETS, "wandb", "no_such_package")
    with pytest.raises(InputError, match=r"roadsense\[wandb\]"):
        check_targets(["wandb"])
    assert not (tmp_path / "run").exists()


def test_runs_of_a_search_and_of_an_experiment_know_their_parents(tmp_path):
    search, trial = tmp_path / "search", tmp_path / "search" / "trial_000"
    trial.mkdir(parents=True)
    (search / "journal.log").touch()
    assert find_parents(trial) == (search,)
    (trial / "experiment.json").touch()
    assert find_parents(trial / "seed_1") == (trial, search)
    assert find_parents(Path(tmp_path / "alone")) == ()
