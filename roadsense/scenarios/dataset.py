"""A dataset: train and held-out folders of scenarios, and a manifest with the origin of each."""

import hashlib
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.errors import DatasetError
from roadsense.scenarios.records import SPLITS, ScenarioRecord, read_record, take
from roadsense.utils.files import hash_file, is_stray, read_json, write_atomically
from roadsense.utils.workspace import resolve

if TYPE_CHECKING:
    import pandas as pd

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 2
CARD_NAMES = ("README.md", "coverage.png")
"""Files that describe a dataset; its digest does not depend on them."""
SUMS = "sums"

_NO_PART = ("gate", "difficulty")


@dataclass(frozen=True)
class Dataset:
    """A dataset as its manifest describes it.

    Attributes:
        folder: path of its folder; not in the manifest.
        digest: SHA-256 over the settings and every scenario's values and files, but not over versions and the
            gate's measurements: two datasets with the same digest are the same.
        settings: seed, counts and ranges of its generation.
        bases: SHA-256 of each base scenario's files, by base and path.
        scenarios: records of all scenarios, in the order of their numbers.
        refusals: every draw that the gate rejected: name, split, base, reasons.
        notes: sentences on what can't be varied, by base.
        ranges_toml: text of the file the ranges were read from; None without one.
        versions: versions of roadsense, SUMO and Python.
        sums: SHA-256 of the card's files and of the manifest without this entry, by name; empty in older datasets.

    Examples:
        >>> import roadsense as rs
        >>> dataset = rs.Dataset.open("scenarios/small")
        >>> len(dataset.scenario_paths("train"))
        4
        >>> dataset.verify()
        []
    """

    folder: Path
    digest: str
    settings: Mapping[str, Any]
    bases: Mapping[str, Mapping[str, str]]
    scenarios: tuple[ScenarioRecord, ...]
    refusals: Sequence[Mapping[str, Any]]
    notes: Mapping[str, Sequence[str]]
    ranges_toml: str | None
    versions: Mapping[str, str]
    sums: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: str | Path) -> "Dataset":
        """Reads a dataset's manifest; `verify` compares the files with it.

        Raises:
            DatasetError: if the folder, the manifest or something in it is missing or of the wrong kind.
        """
        path = resolve(folder) / MANIFEST_NAME
        if not path.is_file():
            raise DatasetError(
                f"Expected a dataset with a {MANIFEST_NAME} in {folder}, found none. "
                "Make one with `roadsense gen-scenarios`, or name the folder above train/ and eval/."
            )
        return _read_manifest(path, read_json(path, "the manifest of a dataset", DatasetError))

    @property
    def seed(self) -> int:
        """Seed of its generation."""
        return int(self.settings["seed"])

    def scenario_paths(self, split: str) -> list[Path]:
        """Returns the `.sumocfg` of each scenario of a split, in the order of their numbers.

        Raises:
            DatasetError: if there is no such split.
        """
        if split not in SPLITS:
            raise DatasetError(f"Expected a split of {', '.join(SPLITS)}, got {split!r}.")
        return [self.folder / record.config for record in self.scenarios if record.split == split]

    @property
    def min_train_distance(self) -> float | None:
        """Least distance of a held-out draw to a train draw: root mean square over the levels, ranges scaled to 1."""
        return min((r.train_distance for r in self.scenarios if r.train_distance is not None), default=None)

    def verify(self) -> list[str]:
        """Returns the differences between the files and the manifest, one line each; empty if there are none.

        The manifest itself and the card's files are compared with the sums recorded when they were made. A link is a
        difference, whatever it leads to.
        """
        listed = {name: digest for record in self.scenarios for name, digest in record.files.items()}
        everything = [path for path in self.folder.rglob("*") if not is_stray(path.relative_to(self.folder))]
        links = {path.relative_to(self.folder).as_posix() for path in everything if path.is_symlink()}
        found = {path.relative_to(self.folder).as_posix() for path in everything if not path.is_dir()} - links
        differences = [f"link: {name}" for name in sorted(links)]
        differences += [f"missing: {name}" for name in sorted((listed.keys() | self.sums.keys()) - found - links)]
        differences += [f"extra: {name}" for name in sorted(found - listed.keys() - {MANIFEST_NAME, *CARD_NAMES})]
        for name in sorted(listed.keys() & found):
            if hash_file(self.folder / name) != listed[name]:
                differences.append(f"changed: {name}")
        if compute_digest(self.settings, self.scenarios) != self.digest:
            differences.append(f"changed: {MANIFEST_NAME} (its digest isn't that of what it lists)")
        own = _sum_up(self.folder)
        return differences + [f"changed: {name}" for name in sorted(own) if own[name] != self.sums.get(name, own[name])]

    def table(self) -> "pd.DataFrame":
        """Returns the number of scenarios of each split, base, density word and driver word."""
        import pandas as pd

        columns = ["split", "base", "density", "driver"]
        rows = pd.DataFrame([[getattr(record, name) for name in columns] for record in self.scenarios])
        return rows.set_axis(columns, axis=1).value_counts(sort=False).rename("scenarios").reset_index()

    def proofs(self) -> "pd.DataFrame":
        """Returns a row for each scenario: its name, split, base and words, and the gate's measurements."""
        import pandas as pd

        columns = ("name", "split", "base", "density", "driver")
        return pd.DataFrame([{name: getattr(r, name) for name in columns} | dict(r.gate) for r in self.scenarios])


def check_scenarios(config_paths: Iterable[Path]) -> str | None:
    """Checks scenarios against the manifest of their dataset.

    Args:
        config_paths: paths of `.sumocfg` files; scenarios outside of datasets are not checked.

    Returns:
        The digest of the dataset, or of the datasets, joined by a comma; None if there is none.

    Raises:
        DatasetError: if a scenario is not listed, or one of its files or the manifest is missing or changed.
    """
    roots: dict[Path, tuple[Dataset, dict[str, ScenarioRecord]]] = {}
    checked: set[Path] = set()
    for path in sorted({path.resolve() for path in config_paths}):
        root = next((one for one in path.parents[1:3] if (one / MANIFEST_NAME).is_file()), None)
        if root is None:
            continue
        if root not in roots:
            dataset = Dataset.open(root)
            if compute_digest(dataset.settings, dataset.scenarios) != dataset.digest:
                raise DatasetError(f"{root / MANIFEST_NAME} was changed: its digest is not that of what it lists.")
            roots[root] = dataset, {record.config: record for record in dataset.scenarios}
        record = roots[root][1].get(path.relative_to(root).as_posix())
        if record is None:
            raise DatasetError(f"{path} is not listed in {root / MANIFEST_NAME}. Move it out of the dataset.")
        for name, digest in record.files.items():
            file = root / name
            if file not in checked and not (file.is_file() and hash_file(file) == digest):
                raise DatasetError(
                    f"{file} is not the file of the dataset's manifest. Restore it, or generate it again."
                )
            checked.add(file)
    return ",".join(dataset.digest for dataset, _ in roots.values()) or None


def current_versions() -> dict[str, str]:
    """Returns the installed versions of the programs that make datasets."""
    return {
        "roadsense": version("roadsense"),
        "sumo": version("eclipse-sumo"),
        "python": platform.python_version(),
    }


def write_manifest(dataset: Dataset) -> None:
    """Writes the manifest of a dataset whose scenarios are in its folder."""
    content = {name: value for name, value in asdict(dataset).items() if name != "folder"}
    text = json.dumps({"schema_version": SCHEMA_VERSION, **content}, indent=1, allow_nan=False)
    write_atomically(dataset.folder / MANIFEST_NAME, text + "\n")


def record_sums(folder: Path) -> None:
    """Records the SHA-256 of the card's files and of the rest of the manifest in a dataset's manifest."""
    write_manifest(replace(Dataset.open(folder), sums=_sum_up(folder)))


def _sum_up(folder: Path) -> dict[str, str]:
    content = {name: value for name, value in read_json(folder / MANIFEST_NAME, "a manifest").items() if name != SUMS}
    own = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return {name: hash_file(folder / name) for name in CARD_NAMES if (folder / name).is_file()} | {MANIFEST_NAME: own}


def compute_digest(settings: Mapping[str, Any], scenarios: Sequence[ScenarioRecord]) -> str:
    """Returns the digest of a dataset with these settings and scenarios."""
    records = [{name: v for name, v in asdict(record).items() if name not in _NO_PART} for record in scenarios]
    content = {"schema_version": SCHEMA_VERSION, "settings": settings, "scenarios": records}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read_manifest(path: Path, manifest: Any) -> Dataset:
    found = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if found != SCHEMA_VERSION:
        raise DatasetError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {found!r}. "
            "Open it with the roadsense that made it, or generate it again."
        )
    settings = take(path, manifest, "settings", dict)
    take(path, settings, "seed", int)
    records = take(path, manifest, "scenarios", list)
    notes = take(path, manifest, "notes", dict)
    return Dataset(
        folder=path.parent,
        digest=take(path, manifest, "digest", str),
        settings=settings,
        bases=take(path, manifest, "bases", dict),
        scenarios=tuple(read_record(path, record) for record in records),
        refusals=take(path, manifest, "refusals", list),
        notes={base: take(path, notes, base, list) for base in notes},
        ranges_toml=take(path, manifest, "ranges_toml", (str, type(None))),
        versions=take(path, manifest, "versions", dict),
        sums=take(path, {SUMS: {}, **manifest}, SUMS, dict),
    )
