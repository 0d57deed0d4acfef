"""A damaged file that others may have changed ends a command in one sentence that names it, never in a traceback."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadsense.augment.validation.generation import _Generation
from roadsense.cli import main
from roadsense.cloud.checksums import CHECKSUMS_NAME, check_checksums
from roadsense.envs.radio.presets import PRESETS, get_preset, preset_to_json
from roadsense.envs.recorded_hazard import read_recorded
from roadsense.episodes.journal import Journal
from roadsense.episodes.trajectory import load_trajectory
from roadsense.errors import RoadSenseError, RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.schema import write_episodes
from roadsense.export import ExportConfig
from roadsense.exporting.card import describe_policy
from roadsense.exporting.write import CARD_NAME, OBSERVATIONS_NAME, SETTINGS_NAME, describe_settings, open_existing
from roadsense.policies.source import refuse_other_version
from roadsense.runs.run import Run, create_run
from roadsense.scenarios.dataset import Dataset
from roadsense.training.splits import find_splits
from roadsense.training.train_config import TrainConfig
from roadsense.utils.files import MAX_TEXT_BYTES
from tests.evaluation.made_up import crashes, made_up

RUN, EVALUATION, JOB = Path("runs/one"), Path("runs/one/evaluation"), Path("runs/jobs/first/job.json")
READERS = {
    RUN / "config.json": [["runs"], ["watch", RUN], ["runs", "lineage", RUN], ["runs", "reproduce", RUN]],
    RUN / "manifest.json": [["runs"], ["runs", "lineage", RUN], ["runs", "reproduce", RUN]],
    RUN / "state.json": [["runs"], ["watch", RUN]],
    RUN / "phase.json": [["runs"]],
    RUN / "metrics.jsonl": [["runs"], ["watch", RUN]],
    EVALUATION / "episodes.parquet": [["compare", RUN, RUN], ["replay", EVALUATION, 0]],
    EVALUATION / "config.json": [["compare", RUN, RUN], ["replay", EVALUATION, 0]],
    EVALUATION / "origin.json": [["replay", EVALUATION, 0]],
    JOB: [["job", "status", "first"], ["job", "list"], ["job", "fetch", "first"], ["job", "stop", "first"]],
}
"""Commands that read each file."""
TOLERANT = {"runs", "watch", "compare", "list"}
"""Commands that tell a damaged state, and a run without an origin, as such and go on."""


def lengthen(path):
    with path.open("r+b") as file:
        file.truncate(MAX_TEXT_BYTES + 1)


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


def give_values(value):
    """Returns a damage: every value of the object is this one."""
    return lambda path: path.write_text(json.dumps(dict.fromkeys(json.loads(path.read_text()), value)) + "\n")


DAMAGES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 20 + b"\n"),
    "huge": lengthen,
    "folder": replace_by_folder,
}
OF_JSON = {
    **{name: lambda path, name=name: path.write_text(f"{name}\n") for name in ("[1, 2]", "3", "null", "{}", '"text"')},
    "deep": lambda path: path.write_text("[" * 100_000 + "\n"),
    "texts": give_values("text"),
    "lists": give_values(["text"]),
    "nothing": give_values(None),
}


def change_columns(change):
    """Returns a damage: every column of the table is changed, the names and the version of the schema stay."""

    def damage(path):
        table = pq.read_table(path)
        columns = [change(table.column(name)) for name in table.schema.names]
        schema = pa.schema(list(zip(table.schema.names, (one.type for one in columns), strict=True)))
        changed = pa.table(columns, schema=schema.with_metadata(table.schema.metadata))
        pq.write_table(changed, path)

    return damage


OF_TABLES = {
    "texts": change_columns(lambda column: pa.array(["text"] * len(column))),
    "missing": change_columns(lambda column: pa.nulls(len(column), column.type)),
    "no rows": change_columns(lambda column: column.slice(0, 0)),
}
CASES = [
    (path, name, damage)
    for path in READERS
    for name, damage in {**DAMAGES, **(OF_TABLES if path.suffix == ".parquet" else OF_JSON)}.items()
]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A made-up run with an evaluation, and a job; the commands work in this folder."""
    monkeypatch.chdir(tmp_path)
    EVALUATION.mkdir(parents=True)
    JOB.parent.mkdir(parents=True)
    figures = {"timesteps": 64, "reward_mean": -1.0}
    contents = {
        RUN / "config.json": {"total_timesteps": 64, "preset": "default", "seed": 1},
        RUN / "manifest.json": {"git_commit": "abc", "git_clean": True, "versions": {}, "job": {"name": "first"}},
        RUN / "state.json": {"name": "trained", "reason": "", "since": ""},
        RUN / "phase.json": {"name": "training", "done": 64, "total": 64},
        RUN / "metrics.jsonl": figures,
        EVALUATION / "config.json": dataclasses.asdict(EvalConfig(run_dir=str(RUN), dataset_dir="dataset")),
        EVALUATION / "origin.json": {"policy_files": {}, "policy_sha256": {}},
        JOB: {"name": "first", "job_id": "1", "target": "process", "spec": {"notebook": "one.ipynb"}},
    }
    for path, content in contents.items():
        path.write_text(json.dumps(content, default=str) + "\n")
    episodes = pd.concat([crashes("policy", 10, 2), made_up("unassisted", 10)], ignore_index=True)
    write_episodes(episodes, EVALUATION / "episodes.parquet")


@pytest.mark.parametrize(("path", "damage"), [case[::2] for case in CASES], ids=[f"{one[0]}-{one[1]}" for one in CASES])
def test_a_damaged_file_is_one_sentence_and_exit_code_2(path, damage, files, capsys):
    damage(path)
    for words in READERS[path]:
        code = main([str(word) for word in words])
        *before, said = capsys.readouterr().err.splitlines() or [""]
        assert code == 2 or (code == 0 and TOLERANT & set(words)), said
        assert not before
        assert code == 0 or (said.startswith("error: ") and path.parent.name in said)


MODEL, EXPORT, DATASET = RUN / "model.zip", RUN / "export", Path("dataset")
EXPORT_CONFIG = ExportConfig(str(RUN))
OUTCOME, RADIO, HAZARDS = Path("working/outcomes/1_0.json"), Path("radio.json"), Path("hazards.json")
EPISODE, SUMS = Path("episode.npz"), Path("job") / CHECKSUMS_NAME


def make_outcome():
    """Goes on with a generation that was killed, whose working folder holds the outcome of the first draw."""
    return _Generation(Path("working"), None, None, None)._make(SimpleNamespace(number=1, n_redraws=0))


READ_BY_CODE = {
    EVALUATION / "origin.json": lambda: describe_policy(Run(RUN), MODEL),
    EXPORT / SETTINGS_NAME: lambda: open_existing(EXPORT, EXPORT_CONFIG, MODEL),
    EXPORT / CARD_NAME: lambda: open_existing(EXPORT, EXPORT_CONFIG, MODEL),
    EXPORT / OBSERVATIONS_NAME: lambda: open_existing(EXPORT, EXPORT_CONFIG, MODEL),
    DATASET / "manifest.json": lambda: Dataset.open(DATASET),
    OUTCOME: make_outcome,
    RADIO: lambda: get_preset(str(RADIO)),
    HAZARDS: lambda: read_recorded(str(HAZARDS)),
    EPISODE: lambda: load_trajectory(EPISODE.absolute()),
    SUMS: lambda: check_checksums(SUMS.parent),
}
"""What reads each file that is opened on the way of a longer command."""
OF_CODE = [
    (path, name, damage)
    for path in READ_BY_CODE
    for name, damage in {**DAMAGES, **(OF_JSON if path.suffix == ".json" else {})}.items()
    if path != SUMS or name not in ("{}", "texts", "lists", "nothing")  # sums of other files, or of none
]


@pytest.fixture
def more_files(files, small_dataset):
    """The files that `READ_BY_CODE` reads, beside those of `files`."""
    for path in READ_BY_CODE:
        path.parent.mkdir(parents=True, exist_ok=True)
    MODEL.write_bytes(b"model")
    (EVALUATION / "summary.csv").write_text("policy\n")
    braking = {"name": "one", "step_length_s": 0.1, "speeds_mps": [20.0, 19.0]}
    contents = {
        EXPORT / SETTINGS_NAME: describe_settings(EXPORT_CONFIG, MODEL),
        EXPORT / CARD_NAME: {"files": {}, "parity": {}, "latency": {}},
        OUTCOME: {"refusals": ["too dense"], "gate": {}, "edits": [], "files": {}},
        HAZARDS: {"schema_version": 1, "brakings": [braking]},
    }
    for path, content in contents.items():
        path.write_text(json.dumps(content) + "\n")
    (DATASET / "manifest.json").write_bytes((small_dataset.folder / "manifest.json").read_bytes())
    SUMS.write_text(json.dumps({"model.zip": "0" * 64}) + "\n")
    RADIO.write_text(preset_to_json(PRESETS["esp_now"]))
    for path in (EXPORT / OBSERVATIONS_NAME, EPISODE):
        np.savez(path, action_float32=np.zeros((3, 1)))


def test_these_files_are_read_as_long_as_they_are_whole(more_files):
    for path, read in READ_BY_CODE.items():
        if path not in (EPISODE, SUMS):
            read()


@pytest.mark.parametrize(
    ("path", "damage"), [case[::2] for case in OF_CODE], ids=[f"{p}-{name}" for p, name, _ in OF_CODE]
)
def test_a_damaged_file_is_one_sentence_on_the_way_of_a_longer_command_too(path, damage, more_files):
    damage(path)
    with pytest.raises(RoadSenseError) as caught:
        READ_BY_CODE[path]()
    said = str(caught.value)
    assert path.name in said or (path.parent.name and path.parent.name in said)
    assert "\n" not in said


@pytest.mark.parametrize(
    "damage",
    [
        *({"observation_version": value} for value in ("text", ["text"], None)),
        *({"train_digest": value} for value in (3, None)),
        *({"learner_threads": value} for value in ("text", None, 0)),
    ],
    ids=str,
)
def test_a_damaged_manifest_of_a_run_ends_its_resume_in_one_sentence(damage, small_dataset, tmp_path, capsys):
    config = TrainConfig(str(small_dataset.folder / "train"), run_dir=str(tmp_path / "run"), n_workers=1)
    splits = find_splits(config.dataset_dir, config.eval_dir, config.leave_out_base)
    run = create_run(config.run_dir, config, {"train_digest": splits.train_digest, "own_code": {}} | damage)
    assert main(["train", f"--resume={run.folder}"]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert said.startswith("error: ")
    assert str(run.folder) in said
    if "observation_version" in damage:
        with pytest.raises(RunError, match="expected a policy of observation version"):
            refuse_other_version(run.folder)


def test_notes_of_a_dataset_that_are_none_are_refused(more_files):
    manifest = json.loads((DATASET / "manifest.json").read_text())
    (DATASET / "manifest.json").write_text(json.dumps(manifest | {"notes": {"road": 3}}))
    with pytest.raises(RoadSenseError, match=r"manifest\.json: expected 'road' to be a list, got 3"):
        Dataset.open(DATASET)


@pytest.mark.parametrize("line", ["[1]", "3", "[1, 2]", "{}", "\udcff", "[" * 100_000])
def test_a_damaged_line_of_a_journal_names_the_file(line, tmp_path):
    path = tmp_path / ".episodes_1.jsonl"
    path.write_bytes(f"{line}\n".encode(errors="surrogateescape"))
    with pytest.raises(RunError, match="episodes_1"), Journal(path):
        pass
    path.unlink()
    with Journal(path) as journal:
        journal.add(3, {"collision": False})
    with Journal(path) as journal:
        assert journal.rows == {3: {"collision": False}}
