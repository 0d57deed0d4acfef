"""A damaged file that others may have changed ends a command in one sentence that names it, never in a traceback."""

import dataclasses
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from roadsense.cli import main
from roadsense.episodes.journal import Journal
from roadsense.errors import RunError
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.schema import write_episodes
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
