"""Adds a chosen draw to a dataset if the gate accepts it and it is far enough from the other splits.

The manifest keeps each choice under `settings.chosen`, so that the whole dataset can be made again, byte for byte.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.augment.bases.base import Base
from roadsense.augment.config import CHOSEN, GenConfig, build_known
from roadsense.augment.draws.chosen_draw import ChosenDraw, draw_chosen
from roadsense.augment.draws.variations import Variation, nearest_distance, restore_variation
from roadsense.augment.validation.entries import name_scenario
from roadsense.augment.validation.generation import make_record, make_scenario
from roadsense.augment.validation.unvaried import check_unvaried
from roadsense.augment.validation.working_folder import hold_working_folder, release
from roadsense.errors import DatasetError, GateError, InputError
from roadsense.scenarios.dataset import Dataset, compute_digest, current_versions, write_manifest
from roadsense.scenarios.records import CONFIG_NAME, ScenarioName, ScenarioRecord
from roadsense.utils.workspace import Folders, find_folders

ADDABLE = ("train", "eval")


@dataclass(frozen=True)
class Addition:
    """A draw to add.

    Attributes:
        base: name of the base scenario.
        chosen: the chosen levels.
        split: `train` or `eval`.
    """

    base: str
    chosen: ChosenDraw
    split: str = "train"

    def __post_init__(self) -> None:
        """Refuses an unknown split.

        Raises:
            InputError: if the split is unknown; it names the splits.
        """
        if self.split not in ADDABLE:
            raise InputError(f"split: expected one of {', '.join(ADDABLE)}, got {self.split!r}.")


def add_scenario(folder: str | Path, base_dir: Folders, addition: Addition) -> tuple[Dataset, ScenarioRecord]:
    """Adds a chosen draw to a dataset if the gate accepts it, and returns the dataset and the new record.

    The manifest, the digest and the card are written again; the other scenarios don't change.

    Args:
        folder: the dataset's folder.
        base_dir: folder or folders of the base scenarios it was made from.
        addition: the draw to add.

    Raises:
        DatasetError: if there is no dataset, another process is changing it, or the base has changed.
        InputError: if a value is outside the dataset's ranges, the draw is too near to one of another split, or it
            was added before.
        GateError: if the gate rejects the draw; nothing is added then.
    """
    from roadsense.augment.card.dataset_card import write_card

    dataset = Dataset.open(folder)
    with hold_working_folder(dataset.folder, "addition") as working:
        dataset = Dataset.open(folder)  # after the last process that held it
        _refuse_twice(dataset, addition)
        config = GenConfig.from_settings(dataset.settings, find_folders(base_dir), dataset.folder)
        base = _find_base(dataset, config, addition.base)
        variation = draw_chosen(addition.chosen, base.traffic, config.ranges_of(base))
        number = max(ScenarioName.parse(record.name).number for record in dataset.scenarios) + 1
        name = name_scenario(number, base, variation)
        others = _keep_apart(dataset, config, base, variation, addition.split)
        record = _make(working / name, base, variation, addition.split, _distance(dataset, config, base, variation))
        _move(working / name, dataset.folder / addition.split / name)
        grown = _grow(replace(dataset, scenarios=others), record, addition)
        write_manifest(grown)
        write_card(grown.folder)
        release(working)
    return Dataset.open(folder), record


def _refuse_twice(dataset: Dataset, addition: Addition) -> None:
    for name, entry in dataset.settings.get(CHOSEN, {}).items():
        if (entry["base"], entry["values"]) == (addition.base, asdict(addition.chosen)):
            raise InputError(f"These values are in the dataset already, as {name}. Choose another value or seed.")


def add_again(dataset: Dataset, base_dir: Folders, chosen: Mapping[str, Mapping[str, Any]]) -> Dataset:
    """Adds the scenarios that another dataset's setting `chosen` lists, in the same order."""
    for entry in chosen.values():
        addition = Addition(entry["base"], build_known(ChosenDraw, entry["values"]), entry["split"])
        dataset, _ = add_scenario(dataset.folder, base_dir, addition)
    return dataset


def _find_base(dataset: Dataset, config: GenConfig, name: str) -> Base:
    bases = {base.name: base for base in config.read_bases()}
    if name not in bases or name not in dataset.bases:
        both = sorted(bases.keys() & dataset.bases.keys())
        raise DatasetError(f"{dataset.folder}: expected a base of {both}, got {name!r}. Choose one the dataset has.")
    if bases[name].hash_files() != dataset.bases[name]:
        raise DatasetError(
            f"{bases[name].scenario.config_path.parent} has changed since {dataset.folder} was made. "
            "Generate the dataset again."
        )
    return check_unvaried([bases[name]])[0]


def _keep_apart(
    dataset: Dataset, config: GenConfig, base: Base, variation: Variation, split: str
) -> tuple[ScenarioRecord, ...]:
    # Returns the records with their distances to a new train draw; refuses one that is too near.
    least, ranges = config.min_split_distance, config.ranges_of(base)
    place = variation.place(ranges)[None, :]
    records = []
    for record in dataset.scenarios:
        if record.base == base.name and (record.split == "train") != (split == "train"):
            distance = nearest_distance(restore_variation(record.variation).place(ranges), place)
            if distance < least:
                raise InputError(
                    f"Expected a draw at least {least:g} away from those of other splits, {record.name} "
                    f"({record.split}) is {distance:.3f} away. Choose other values, or add it to {record.split}."
                )
            if split == "train":
                record = replace(record, train_distance=min(record.train_distance or np.inf, distance))
        records.append(record)
    return tuple(records)


def _distance(dataset: Dataset, config: GenConfig, base: Base, variation: Variation) -> float | None:
    trained = [record for record in dataset.scenarios if record.split == "train" and record.base == base.name]
    ranges = config.ranges_of(base)
    others = [restore_variation(record.variation).place(ranges) for record in trained]
    return nearest_distance(variation.place(ranges), np.array(others)) if others else None


def _make(folder: Path, base: Base, variation: Variation, split: str, distance: float | None) -> ScenarioRecord:
    from roadsense.episodes.difficulty import measure_difficulty

    shutil.rmtree(folder, ignore_errors=True)
    outcome = make_scenario(base, variation, folder, f"{split}/{folder.name}")
    if outcome["refusals"]:
        shutil.rmtree(folder)
        reasons = "; ".join(outcome["refusals"])
        raise GateError(f"{folder.name} isn't added, the gate rejected it: {reasons}. Choose other values.")
    (difficulty,) = measure_difficulty([folder / CONFIG_NAME], workers=1)
    record = make_record(folder.name, split, base, variation, outcome, None if split == "train" else distance)
    return replace(record, difficulty=difficulty)


def _move(made: Path, target: Path) -> None:
    # A killed addition left this folder: it is not in the manifest, and its number is used again.
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(exist_ok=True)
    made.rename(target)


def _grow(dataset: Dataset, record: ScenarioRecord, addition: Addition) -> Dataset:
    entry = {"split": addition.split, "base": addition.base, "values": asdict(addition.chosen)}
    settings = {**dataset.settings, CHOSEN: {**dataset.settings.get(CHOSEN, {}), record.name: entry}}
    scenarios = (*dataset.scenarios, record)
    return replace(
        dataset,
        settings=settings,
        scenarios=scenarios,
        digest=compute_digest(settings, scenarios),
        versions=current_versions(),
    )
