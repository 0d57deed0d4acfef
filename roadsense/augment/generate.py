"""Base scenarios in, dataset out."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.config import GenConfig
from roadsense.augment.validation.generation import generate_scenarios
from roadsense.augment.validation.working_folder import OUTCOMES, SCENARIOS, clear_strays, hold_working_folder, release
from roadsense.errors import DatasetError, GateError, InputError
from roadsense.scenarios.dataset import SCHEMA_VERSION, Dataset, compute_digest, current_versions, write_manifest
from roadsense.utils.files import refuse_existing


def generate_dataset(config: GenConfig) -> Dataset:
    """Makes a dataset and returns it; `output_dir` appears when the dataset is complete.

    A run that was ended resumes after its last accepted scenario if it is started again with the same settings and
    base files, and gives the same dataset. A dataset that was made with them already is opened.

    Raises:
        DatasetError: if `output_dir` holds anything else, or another run is making it.
        InputError: if `hold_out_base` names no base, or the only one.
        ScenarioError: if there is no base scenario or one is broken.
        GateError: if too many draws of one base are rejected.

    Example:
        >>> import roadsense as rs
        >>> config = rs.GenConfig(output_dir="scenarios/tiny", n_train=1, n_eval=1, min_split_distance=0.0)
        >>> dataset = rs.generate_dataset(config)
        >>> [record.split for record in dataset.scenarios]
        ['train', 'eval']
    """
    output_dir, existing = config.output_dir, config.open_existing()
    bases = _read_bases(config)
    hashes = {base.name: base.hash_files() for base in bases}
    if existing is not None:
        if existing.bases != hashes:
            raise DatasetError(
                f"{output_dir} was made from other base roads than {config.base_dir}. Name another folder."
            )
        return existing
    with hold_working_folder(output_dir, _key(config, hashes)) as working:
        refuse_existing(output_dir, "the dataset", DatasetError)  # another run may have ended before this one got here
        try:
            folder = _make_dataset(working, bases, hashes, config)
        except GateError:
            release(working)
            raise
        folder.rename(output_dir)
        release(working)
    return Dataset.open(output_dir)


def _make_folders(working: Path) -> None:
    for name in (SCENARIOS, OUTCOMES):
        (working / name).mkdir(exist_ok=True)
    clear_strays(working / SCENARIOS)


def _key(config: GenConfig, hashes: Mapping[str, Any]) -> str:
    # All releases of one minor version of Python make the same dataset.
    versions = {**current_versions(), "python": "{}.{}".format(*sys.version_info)}
    content = [SCHEMA_VERSION, versions, config.settings, hashes]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _read_bases(config: GenConfig) -> list[Base]:
    widest = config.split_ranges("eval_wide") if config.n_eval_wide else config.ranges
    bases = read_bases(Path(config.base_dir), widest, config.naming)
    names = [base.name for base in bases]
    if config.hold_out_base is not None and (config.hold_out_base not in names or len(names) < 2):
        raise InputError(f"hold_out_base: expected one of several bases, {names}; got {config.hold_out_base!r}.")
    for base in bases:
        for note in base.notes:
            sys.stderr.write(f"note: {base.name}: {note}\n")
    return bases


def _make_dataset(
    working: Path, bases: Sequence[Base], hashes: Mapping[str, Mapping[str, str]], config: GenConfig
) -> Path:
    from roadsense.augment.card.dataset_card import write_card
    from roadsense.episodes.difficulty import measure_difficulty

    folder = working / SCENARIOS
    _make_folders(working)
    records, refusals = generate_scenarios(working, bases, config)
    difficulties = measure_difficulty([folder / record.config for record in records], config.workers)
    records = [replace(record, difficulty=found) for record, found in zip(records, difficulties, strict=True)]
    dataset = Dataset(
        folder=folder,
        digest=compute_digest(config.settings, records),
        settings=config.settings,
        bases=hashes,
        scenarios=tuple(records),
        refusals=refusals,
        notes={base.name: base.notes for base in bases if base.notes},
        ranges_toml=config.ranges_file.read_text(encoding="utf-8") if config.ranges_file else None,
        versions=current_versions(),
    )
    write_manifest(dataset)
    write_card(folder)
    return folder
