"""Makes a dataset from base scenarios."""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadsense.augment.bases.base import Base
from roadsense.augment.config import CHOSEN, GenConfig
from roadsense.augment.validation.generation import REJECTED, generate_scenarios
from roadsense.augment.validation.unvaried import check_unvaried
from roadsense.augment.validation.working_folder import (
    OUTCOMES,
    SCENARIOS,
    clear_strays,
    hold_working_folder,
    release,
    release_finished,
)
from roadsense.errors import DatasetError, GateError
from roadsense.scenarios.dataset import SCHEMA_VERSION, Dataset, compute_digest, current_versions, write_manifest
from roadsense.utils.files import refuse_existing
from roadsense.utils.progress import say


def generate_dataset(config: GenConfig) -> Dataset:
    """Makes a dataset and returns it; `output_dir` appears when the dataset is complete.

    An interrupted generation resumes after its last accepted scenario if it is started again with the same settings and
    base files, and gives the same dataset. A dataset that is already complete is opened.

    Raises:
        DatasetError: if `output_dir` holds anything else, or another process is making it.
        InputError: if `hold_out_base` names no base, or the only one.
        ScenarioError: if there is no base scenario or one is broken.
        GateError: if too many draws of one base are rejected. Accepted scenarios of other bases are in `output_dir`.

    Examples:
        >>> import roadsense as rs
        >>> config = rs.GenConfig(output_dir="scenarios/tiny", n_train=1, n_eval=1, min_split_distance=0.0)
        >>> dataset = rs.generate_dataset(config)
        >>> [record.split for record in dataset.scenarios]
        ['train', 'eval']
    """
    output_dir, existing = config.output_dir, config.open_existing()
    bases = config.read_bases()
    hashes = {base.name: base.hash_files() for base in bases}
    if existing is not None:
        if existing.bases != hashes:
            folders = ", ".join(map(str, config.base_dir))
            raise DatasetError(
                f"{output_dir} was made from other base roads than those below {folders}. Name another "
                "folder, or the base_dir it was made from."
            )
        release_finished(output_dir, _key(config, hashes))
        return _check_complete(existing, config)
    bases = check_unvaried(bases, config.workers)
    _print_notes(bases)
    with hold_working_folder(output_dir, _key(config, hashes)) as working:
        refuse_existing(output_dir, "the dataset", DatasetError)  # another process may have finished it meanwhile
        try:
            folder = _make_dataset(working, bases, hashes, config)
        except GateError:
            release(working)
            raise
        folder.rename(output_dir)
        release(working)
    return _check_complete(Dataset.open(output_dir), config)


def _check_complete(dataset: Dataset, config: GenConfig) -> Dataset:
    n_added, n_asked = len(dataset.settings.get(CHOSEN, {})), config.n_train + config.n_eval + config.n_eval_wide
    n_found = len(dataset.scenarios) - n_added
    if n_found < n_asked:
        reasons = " ".join(note for notes in dataset.notes.values() for note in notes if REJECTED in note)
        raise GateError(
            f"{dataset.folder} holds {n_found} of {n_asked} scenarios, those that were accepted. {reasons} "
            "Then generate again, into another folder."
        )
    return dataset


def _make_folders(working: Path) -> None:
    for name in (SCENARIOS, OUTCOMES):
        (working / name).mkdir(exist_ok=True)
    clear_strays(working / SCENARIOS)


def _key(config: GenConfig, hashes: Mapping[str, Any]) -> str:
    # All patch releases of one minor version of Python make the same dataset.
    versions = {**current_versions(), "python": "{}.{}".format(*sys.version_info)}
    content = [SCHEMA_VERSION, versions, config.settings, hashes]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _print_notes(bases: Sequence[Base]) -> None:
    by_note: dict[str, list[str]] = {}
    for base in bases:
        for note in base.notes:
            by_note.setdefault(note, []).append(base.name)
    for note, names in by_note.items():
        say(f"note: {', '.join(names)}: {note}")


def _make_dataset(
    working: Path, bases: Sequence[Base], hashes: Mapping[str, Mapping[str, str]], config: GenConfig
) -> Path:
    from roadsense.augment.card.dataset_card import write_card
    from roadsense.episodes.difficulty import measure_difficulty

    folder = working / SCENARIOS
    _make_folders(working)
    records, rejected, failed = generate_scenarios(working, bases, config)
    if not records:
        raise GateError(" ".join(failed.values()))
    difficulties = measure_difficulty([folder / record.config for record in records], config.workers)
    records = [replace(record, difficulty=found) for record, found in zip(records, difficulties, strict=True)]
    notes = {base.name: (*base.notes, *([failed[base.name]] if base.name in failed else [])) for base in bases}
    dataset = Dataset(
        folder=folder,
        digest=compute_digest(config.settings, records),
        settings=config.settings,
        bases=hashes,
        scenarios=tuple(records),
        refusals=rejected,
        notes={name: notes for name, notes in notes.items() if notes},
        ranges_toml=config.ranges_file.read_text(encoding="utf-8") if config.ranges_file else None,
        versions=current_versions(),
    )
    write_manifest(dataset)
    write_card(folder)
    return folder
