"""The run folder: made once, never overwritten, found again."""

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadsense.envs.observation import KNOWN_VERSIONS, OBSERVATION_VERSION
from roadsense.errors import RunError
from roadsense.evaluation.candidates import find_candidates
from roadsense.evaluation.config import EvalConfig
from roadsense.runs.run import Run, create_run, find_runs, open_run, refuse_other_observation
from roadsense.train_convoy import TrainConfig, train_policy


@dataclass(frozen=True)
class Settings:
    total_timesteps: int = 64
    dataset_dir: Path = Path("scenarios/dataset")


def make(folder, trained=True, written_at_s=None):
    run = create_run(folder, Settings(), {})
    if trained:
        run.model_path.write_bytes(b"weights")
    if written_at_s is not None:
        os.utime(run.manifest_path, (written_at_s, written_at_s))
    return run


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_run_tells_its_settings_and_where_it_came_from(tmp_path):
    run = create_run(tmp_path / "deep" / "run", Settings(), {"dataset_digest": "abc"})
    assert run.read_config() == {"total_timesteps": 64, "dataset_dir": "scenarios/dataset"}
    manifest = run.read_manifest()
    assert manifest["dataset_digest"] == "abc"
    assert manifest["versions"]["libsumo"] == "1.28.0"
    assert manifest["python"] == platform.python_version()
    assert manifest["command"]
    assert manifest["git_commit"] is None or len(manifest["git_commit"]) == 40
    assert set(everything(run.folder)) == {Path("config.json"), Path("manifest.json")}


def test_an_empty_folder_is_taken(tmp_path):
    assert create_run(tmp_path, Settings(), {}).config_path.is_file()


def test_a_folder_whose_process_died_before_the_manifest_is_begun_anew(tmp_path):
    run = make(tmp_path / "run", trained=False)
    run.manifest_path.unlink()
    with pytest.raises(RunError, match="without --resume"):
        train_policy(TrainConfig(resume=str(run.folder)))
    assert create_run(tmp_path / "run", Settings(total_timesteps=2), {}).read_config()["total_timesteps"] == 2
    assert run.manifest_path.is_file()


def test_a_run_is_never_overwritten(tmp_path):
    make(tmp_path / "run")
    before = everything(tmp_path)
    with pytest.raises(RunError, match="Name another one"):
        create_run(tmp_path / "run", Settings(total_timesteps=1), {})
    assert everything(tmp_path) == before


@pytest.mark.parametrize("content", ["", '{"total_timesteps": 6', "[1]"])
def test_a_damaged_file_of_a_run_is_named(tmp_path, content):
    run = make(tmp_path / "run")
    for path, read in ((run.config_path, run.read_config), (run.manifest_path, run.read_manifest)):
        path.write_text(content)
        if content != "[1]":
            with pytest.raises(RunError, match=f"{path.name}: expected the .*, but the file is damaged"):
                read()
    (run.folder / "state.json").write_text(content)
    assert run.read_state().reason == "state.json is damaged"


def test_a_folder_with_other_things_and_a_file_are_refused_and_untouched(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    (tmp_path / "file").write_text("keep")
    before = everything(tmp_path)
    for name in ("mine", "file"):
        with pytest.raises(RunError, match=name):
            create_run(tmp_path / name, Settings(), {})
    assert everything(tmp_path) == before


@pytest.mark.parametrize("settings", [{"total_timesteps": 1}, Settings])
def test_settings_have_to_be_a_dataclass_and_nothing_is_made_otherwise(tmp_path, settings):
    with pytest.raises(TypeError, match="dataclass"):
        create_run(tmp_path / "run", settings, {})
    assert not (tmp_path / "run").exists()


def test_a_run_is_opened_when_it_is_trained(tmp_path):
    make(tmp_path / "trained")
    assert open_run(str(tmp_path / "trained")).read_config()["total_timesteps"] == 64
    make(tmp_path / "unfinished", trained=False)
    for name in ("unfinished", "nowhere"):
        with pytest.raises(RunError, match=name):
            open_run(tmp_path / name)
    with pytest.raises(RunError, match=r"not ended: `roadsense train --resume .*unfinished`"):
        open_run(tmp_path / "unfinished")
    with pytest.raises(RunError, match=r"not ended: `roadsense train --resume .*unfinished`"):
        find_candidates(EvalConfig(str(tmp_path / "unfinished")))
    with pytest.raises(RunError, match="Train one"):
        open_run(tmp_path / "nowhere")


def test_runs_are_found_at_any_depth_the_oldest_first(tmp_path):
    make(tmp_path / "b", written_at_s=2000)
    make(tmp_path / "sweep" / "seed_1", written_at_s=1000)
    make(tmp_path / "a", written_at_s=3000, trained=False)
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "manifest.json").write_text("{}")
    found = [run.folder.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert found == ["sweep/seed_1", "b", "a"]


def test_copies_that_other_programs_hide_are_no_runs(tmp_path):
    for place in ("a b", ".ipynb_checkpoints/a b-checkpoint", ".Trash-1000/files/a", "__MACOSX/a"):
        make(tmp_path / ".home" / place)
    assert [run.folder.name for run in find_runs(tmp_path / ".home")] == ["a b"]


def test_a_fetched_job_opens_as_its_run_and_is_listed_once(tmp_path):
    """A job leaves its run in `model`, where it trained, and wherever it was fetched to."""
    for place in ("jobs/one/checkpoints/run", "jobs/one/model", "one/model"):
        make(tmp_path / place, trained=not place.endswith("run"))
        manifest = json.loads((tmp_path / place / "manifest.json").read_text()) | {"job": {"name": "one"}}
        (tmp_path / place / "manifest.json").write_text(json.dumps(manifest))
    assert open_run(tmp_path / "one").folder == tmp_path / "one" / "model"
    assert open_run(tmp_path / "jobs" / "one", trained=False).folder == tmp_path / "jobs" / "one" / "model"
    judged = find_candidates(EvalConfig(str(tmp_path / "one"), str(tmp_path)))
    assert judged.policy.path == tmp_path / "one" / "model" / "model.zip"
    make(tmp_path / "by_hand")
    found = [run.folder.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert sorted(found) == ["by_hand", "one/model"]


def test_the_newest_run_is_the_newest_trained_one(tmp_path, monkeypatch):
    make(tmp_path / "runs" / "z_old", written_at_s=1000)
    make(tmp_path / "runs" / "a_new", written_at_s=2000)
    make(tmp_path / "runs" / "unfinished", trained=False, written_at_s=3000)
    monkeypatch.chdir(tmp_path)
    assert open_run().folder == Path("runs/a_new")


def test_paths_are_those_of_the_workspace_from_every_folder_in_it(tmp_path, monkeypatch):
    make(tmp_path / "runs" / "first")
    for name in ("scenarios", "notebooks"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert open_run("runs/first").folder == tmp_path / "runs" / "first"
    assert [run.folder.name for run in find_runs()] == ["first"]
    assert open_run().folder == tmp_path / "runs" / "first"


def test_without_a_trained_run_the_way_to_one_is_named(tmp_path, monkeypatch):
    make(tmp_path / "runs" / "unfinished", trained=False)
    for folder in (tmp_path, tmp_path / "runs" / "unfinished"):
        monkeypatch.chdir(folder)
        with pytest.raises(RunError, match="roadsense train"):
            open_run()


def test_metrics_are_read_while_there_are_none_and_when_there_are_some(tmp_path):
    run = Run(tmp_path)
    assert run.read_metrics().empty
    lines = [{"timesteps": 64, "reward": -1.5}, {"timesteps": 128, "reward": -0.5, "kl": 0.01}]
    run.metrics_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = run.read_metrics()
    assert table["timesteps"].tolist() == [64, 128]
    assert table["reward"].tolist() == [-1.5, -0.5]
    assert table["kl"].isna().tolist() == [True, False]


def test_a_policy_of_another_observation_is_refused_by_all_that_would_run_it(tmp_path):
    run = make(tmp_path / "run")
    assert run.read_observation_version() == OBSERVATION_VERSION
    refuse_other_observation(run)
    run.manifest_path.write_text(json.dumps(run.read_manifest() | {"observation_version": OBSERVATION_VERSION + 1}))
    words = f"observation version {KNOWN_VERSIONS}, got {OBSERVATION_VERSION + 1}"
    with pytest.raises(RunError, match=words):
        refuse_other_observation(run)
    with pytest.raises(RunError, match=words):
        find_candidates(EvalConfig(str(run.folder)))
    with pytest.raises(RunError, match=f"{OBSERVATION_VERSION} to resume, got {OBSERVATION_VERSION + 1}"):
        train_policy(TrainConfig(resume=str(run.folder)))


def test_a_policy_of_version_2_still_drives_and_is_not_resumed(tmp_path):
    run = make(tmp_path / "run")
    run.manifest_path.write_text(json.dumps(run.read_manifest() | {"observation_version": 2}))
    refuse_other_observation(run)
    with pytest.raises(RunError, match="3 to resume, got 2"):
        refuse_other_observation(run, is_resumed=True)


def test_a_run_from_before_versions_were_noted_has_the_first(tmp_path):
    run = make(tmp_path / "run")
    manifest = run.read_manifest()
    del manifest["observation_version"]
    run.manifest_path.write_text(json.dumps(manifest))
    assert run.read_observation_version() == 1
    run.manifest_path.unlink()
    assert run.read_observation_version() is None
