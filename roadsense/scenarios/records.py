"""The record of one scenario in a dataset's manifest, and how it is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from roadsense.errors import DatasetError, ScenarioError

SPLITS = ("train", "eval", "eval_wide")
"""The folders of a dataset: for training, held out, and held out with wider ranges (may be empty)."""


CONFIG_NAME = "scenario.sumocfg"
"""Name of a generated scenario's configuration."""

DENSITY_WORDS = ("sparse", "medium", "dense")
FIXED = "fixed"
"""The density word of a scenario whose base has no flow that can be varied."""
DRIVER_WORDS = ("cautious", "normal", "aggressive")
_NUMBER = "[0-9]{3}|[1-9][0-9]{3,}"
_NAME = re.compile(rf"scenario_({_NUMBER})_(\w+)_({'|'.join((*DENSITY_WORDS, FIXED))})_({'|'.join(DRIVER_WORDS)})")


@dataclass(frozen=True)
class ScenarioName:
    """The parts of a scenario folder's name, as in `scenario_001_highway_dense_aggressive`.

    Attributes:
        number: position in the dataset, from 1.
        base: name of the base scenario it was drawn from.
        density: one of `DENSITY_WORDS`, or `FIXED`.
        driver: one of `DRIVER_WORDS`.
    """

    number: int
    base: str
    density: str
    driver: str

    def __str__(self) -> str:
        return f"scenario_{self.number:03d}_{self.base}_{self.density}_{self.driver}"

    @classmethod
    def parse(cls, text: str) -> "ScenarioName":
        """Returns the parts of a folder name; the inverse of `str`.

        Raises:
            ScenarioError: if `text` does not have the form that `str` gives.
        """
        match = _NAME.fullmatch(text)
        if not match:
            raise ScenarioError(f"Expected a name like scenario_001_highway_fast_dense_normal, got {text!r}.")
        number, base, density, driver = match.groups()
        return cls(int(number), base, density, driver)


@dataclass(frozen=True)
class ScenarioRecord:
    """The record of one scenario in the manifest.

    Attributes:
        name: name of its folder.
        split: one of `SPLITS`.
        base: name of the base scenario it was drawn from.
        density: density word.
        driver: driver word.
        variation: every drawn value.
        edits: every attribute that differs from the base, with its original and its new value.
        gate: measurements of the gate.
        files: SHA-256 of each file, by its path from the dataset's folder.
        train_distance: distance of a held-out scenario to the nearest train scenario of its base; None without one.
        difficulty: figures of a standard driver in it, as `measure_difficulty` gives them.
    """

    name: str
    split: str
    base: str
    density: str
    driver: str
    variation: Mapping[str, Any]
    edits: Sequence[Mapping[str, Any]]
    gate: Mapping[str, Any]
    files: Mapping[str, str]
    train_distance: float | None = None
    difficulty: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def config(self) -> str:
        """Path of its `.sumocfg`, relative to the dataset's folder."""
        return f"{self.split}/{self.name}/{CONFIG_NAME}"


def read_record(path: Path, record: Any) -> ScenarioRecord:
    """Returns a scenario's record from a manifest's JSON.

    Raises:
        DatasetError: if something is missing or of the wrong type; it names it.
    """
    kinds = {
        "variation": dict,
        "edits": list,
        "gate": dict,
        "files": dict,
        "train_distance": (float, type(None)),
        "difficulty": dict,
    }
    values = {
        field.name: take(path, record, field.name, kinds.get(field.name, str)) for field in fields(ScenarioRecord)
    }
    read = ScenarioRecord(**values)
    try:
        name = ScenarioName.parse(read.name)
    except ScenarioError as error:
        raise DatasetError(f"{path}: {error}") from error
    if (name.base, name.density, name.driver) != (
        read.base,
        read.density,
        read.driver,
    ) or read.split not in SPLITS:
        raise DatasetError(f"{path}: {read.name}: its name and its values disagree. Generate the dataset again.")
    folder = f"{read.split}/{read.name}/"
    strays = [file for file in read.files if not file.startswith(folder) or ".." in file.split("/")]
    if strays or read.config not in read.files:
        raise DatasetError(
            f"{path}: {read.name}: expected files in {folder} and among them {CONFIG_NAME}, got "
            f"{sorted(read.files)}. Generate the dataset again."
        )
    return read


def take(path: Path, record: Any, key: str, kind: Any) -> Any:
    """Returns a value of a manifest's JSON.

    Raises:
        DatasetError: if it is missing or of another type.
    """
    if not isinstance(record, dict) or not isinstance(record.get(key), kind) or (key not in record):
        got = record.get(key) if isinstance(record, dict) else record
        raise DatasetError(
            f"{path}: expected {key!r} to be a {getattr(kind, '__name__', 'number or null')}, "
            f"got {got!r:.80}. Generate the dataset again."
        )
    return record[key]
