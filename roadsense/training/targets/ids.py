"""The ids of a run at MLflow and Weights & Biases, kept in its folder so that a resumed training goes on there."""

import json
from pathlib import Path

from roadsense.errors import RunError
from roadsense.utils.files import read_json, write_atomically

IDS_NAME = "log_ids.json"


def read_id(folder: Path, target: str) -> str | None:
    """Returns the id of a folder's run at a target, or None if it has none yet."""
    path = folder / IDS_NAME
    return read_json(path, "the ids of a log", RunError).get(target) if path.is_file() else None


def write_id(folder: Path, target: str, run_id: str) -> str:
    """Notes the id of a folder's run at a target, and returns it."""
    path = folder / IDS_NAME
    known = read_json(path, "the ids of a log", RunError) if path.is_file() else {}
    write_atomically(path, json.dumps(known | {target: run_id}) + "\n")
    return run_id
