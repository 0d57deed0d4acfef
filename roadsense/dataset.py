"""A dataset: train and eval folders of scenarios, and a manifest that says where each came from."""

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.errors import DatasetError, ScenarioError
from roadsense.files import hash_file
from roadsense.scenario import ScenarioName
from roadsense.scenario_files import CONFIG_NAME

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
SPLITS = ("train", "eval")


@dataclass(frozen=True)
class ScenarioRecord:
    """What the manifest holds of one scenario.

    Attributes:
        name: name of its folder.
        split: `train` or `eval`.
        base: the base scenario it was drawn from.
        density: density word.
        driver: driver word.
        variation: every drawn value.
        edits: every attribute that differs from the base, with its original and its new value.
        gate: what was measured in its proof.
        files: SHA-256 of each file, by its path from the dataset's folder.
        train_distance: of an eval scenario, to the nearest train scenario of its base; None without one.
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

    @property
    def config(self) -> str:
        """Path of its `.sumocfg` from the dataset's folder."""
        return f"{self.split}/{self.name}/{CONFIG_NAME}"


@dataclass(frozen=True)
class Dataset:
    """A dataset as its manifest describes it.

    Attributes:
        folder: where it lies; not in the manifest.
        digest: SHA-256 over the settings and every scenario's values and files, but not over versions and the
            gate's measurements: two datasets with the same digest are the same.
        settings: seed, counts and ranges it was made with.
        bases: SHA-256 of each base scenario's files, by base and path.
        scenarios: in the order of their numbers.
        refusals: every draw that failed its proof: name, split, base, reasons.
        versions: of roadsense, SUMO and Python.
    """

    folder: Path
    digest: str
    settings: Mapping[str, Any]
    bases: Mapping[str, Mapping[str, str]]
    scenarios: tuple[ScenarioRecord, ...]
    refusals: Sequence[Mapping[str, Any]]
    versions: Mapping[str, str]

    @classmethod
    def open(cls, folder: str | Path) -> "Dataset":
        """Reads a dataset's manifest; `verify` compares the files with it.

        Raises:
            DatasetError: if the folder, the manifest or something in it is missing or of the wrong kind.
        """
        path = Path(folder) / MANIFEST_NAME
        if not path.is_file():
            raise DatasetError(
                f"Expected a dataset with a {MANIFEST_NAME} in {folder}, found none. "
                "Make one with `roadsense gen-scenarios`, or name the folder above train/ and eval/."
            )
        try:
            return _read_manifest(path, json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise DatasetError(f"{path}: not JSON ({error}). Generate the dataset again.") from error

    @property
    def seed(self) -> int:
        """The seed it was made with."""
        return int(self.settings["seed"])

    def scenario_paths(self, split: str) -> list[Path]:
        """Returns the `.sumocfg` of each scenario of a split, in the order of their numbers.

        Raises:
            DatasetError: if there is no such split.
        """
        if split not in SPLITS:
            raise DatasetError(f"Expected a split of {' or '.join(SPLITS)}, got {split!r}.")
        return [self.folder / record.config for record in self.scenarios if record.split == split]

    def verify(self) -> list[str]:
        """Returns in what the files differ from the manifest, one line each; empty if in nothing."""
        listed = {name: digest for record in self.scenarios for name, digest in record.files.items()}
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()}
        differences = [f"missing: {name}" for name in sorted(listed.keys() - found)]
        differences += [f"extra: {name}" for name in sorted(found - listed.keys() - {MANIFEST_NAME})]
        for name in sorted(listed.keys() & found):
            if hash_file(self.folder / name) != listed[name]:
                differences.append(f"changed: {name}")
        if compute_digest(self.settings, self.scenarios) != self.digest:
            differences.append(f"changed: {MANIFEST_NAME} (its digest isn't that of what it lists)")
        return differences

    def table(self) -> "pd.DataFrame":
        """Returns how many scenarios there are of each split, base, density word and driver word."""
        import pandas as pd

        columns = ["split", "base", "density", "driver"]
        rows = pd.DataFrame([[getattr(record, name) for name in columns] for record in self.scenarios])
        return rows.set_axis(columns, axis=1).value_counts(sort=False).rename("scenarios").reset_index()

    def proofs(self) -> "pd.DataFrame":
        """Returns a row for each scenario: its name, split, base and words, and what its proof measured."""
        import pandas as pd

        columns = ("name", "split", "base", "density", "driver")
        return pd.DataFrame([{name: getattr(r, name) for name in columns} | dict(r.gate) for r in self.scenarios])

    def draws(self) -> "pd.DataFrame":
        """Returns a row for each drawn flow, vehicle type and convoy, with `split`, `base` and what was drawn."""
        import pandas as pd

        rows = []
        for record in self.scenarios:
            drawn, whose = record.variation, {"split": record.split, "base": record.base}
            for flow in drawn["flows"].values():
                rows.append(whose | {"density_factor": flow["density"], "shift_s": flow["shift_s"]})
            rows += [whose | dict(kind) for kind in drawn["types"].values()]
            rows.append(whose | {"convoy_shift_s": drawn["convoy_shift_s"]})
        return pd.DataFrame(rows)


def write_manifest(
    folder: Path,
    settings: Mapping[str, Any],
    bases: Mapping[str, Mapping[str, str]],
    scenarios: Sequence[ScenarioRecord],
    refusals: Sequence[Mapping[str, Any]],
) -> None:
    """Writes the manifest of a dataset whose scenarios lie in `folder`."""
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "digest": compute_digest(settings, scenarios),
        "versions": {
            "roadsense": version("roadsense"),
            "sumo": version("eclipse-sumo"),
            "python": platform.python_version(),
        },
        "settings": settings,
        "bases": bases,
        "refusals": list(refusals),
        "scenarios": [asdict(record) for record in scenarios],
    }
    text = json.dumps(manifest, indent=1, allow_nan=False)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def compute_digest(settings: Mapping[str, Any], scenarios: Sequence[ScenarioRecord]) -> str:
    """Returns the digest of a dataset with these settings and scenarios."""
    records = [{name: value for name, value in asdict(record).items() if name != "gate"} for record in scenarios]
    content = {"schema_version": SCHEMA_VERSION, "settings": settings, "scenarios": records}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path, manifest: Any) -> Dataset:
    found = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if found != SCHEMA_VERSION:
        raise DatasetError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {found!r}. "
            "Open it with the roadsense that made it, or generate it again."
        )
    settings = _take(path, manifest, "settings", dict)
    _take(path, settings, "seed", int)
    records = _take(path, manifest, "scenarios", list)
    return Dataset(
        folder=path.parent,
        digest=_take(path, manifest, "digest", str),
        settings=settings,
        bases=_take(path, manifest, "bases", dict),
        scenarios=tuple(_read_record(path, record) for record in records),
        refusals=_take(path, manifest, "refusals", list),
        versions=_take(path, manifest, "versions", dict),
    )


def _read_record(path: Path, record: Any) -> ScenarioRecord:
    kinds = {
        "variation": dict,
        "edits": list,
        "gate": dict,
        "files": dict,
        "train_distance": (float, type(None)),
    }
    values = {
        field.name: _take(path, record, field.name, kinds.get(field.name, str)) for field in fields(ScenarioRecord)
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


def _take(path: Path, record: Any, key: str, kind: Any) -> Any:
    if not isinstance(record, dict) or not isinstance(record.get(key), kind) or (key not in record):
        got = record.get(key) if isinstance(record, dict) else record
        raise DatasetError(
            f"{path}: expected {key!r} to be a {getattr(kind, '__name__', 'number or null')}, "
            f"got {got!r:.80}. Generate the dataset again."
        )
    return record[key]
