"""A chosen draw, added to a dataset that is there: through the gate, apart from the other splits, with its values.

The manifest keeps each choice under `settings.chosen`, so that the dataset with it can be made again, byte for byte.
"""

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.bases.convoy_naming import ConvoyNaming
from roadsense.augment.bases.offers import add_offers
from roadsense.augment.draws.chosen_draw import ChosenDraw, draw_chosen
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.variations import Variation, nearest_distance, restore_variation
from roadsense.augment.validation.gate import prove
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.augment.validation.working_folder import hold_working_folder, release
from roadsense.errors import DatasetError, GateError, InputError
from roadsense.scenarios.dataset import Dataset, compute_digest, current_versions, write_manifest
from roadsense.scenarios.records import ScenarioRecord
from roadsense.scenarios.scenario import CONFIG_NAME, ScenarioName
from roadsense.utils.files import hash_file

ADDABLE = ("train", "eval")
CHOSEN = "chosen"
"""The setting that lists the choices: split, base and values by the scenario's name."""


@dataclass(frozen=True)
class Addition:
    """What is to be added.

    Attributes:
        base: name of the base scenario.
        chosen: the levels.
        split: `train` or `eval`.
    """

    base: str
    chosen: ChosenDraw
    split: str = "train"

    def __post_init__(self) -> None:
        """Refuses a split that is none.

        Raises:
            InputError: saying which there are.
        """
        if self.split not in ADDABLE:
            raise InputError(f"split: expected one of {', '.join(ADDABLE)}, got {self.split!r}.")


def add_scenario(folder: str | Path, base_dir: str | Path, addition: Addition) -> tuple[Dataset, ScenarioRecord]:
    """Adds one chosen draw to a dataset, proven like all the others, and returns the dataset and the new record.

    The manifest, the digest and the card are written anew; the scenarios that are there stay as they are.

    Args:
        folder: of the dataset.
        base_dir: the base scenarios it was made from.
        addition: what is to be added.

    Raises:
        DatasetError: if there is no dataset, its files aren't as its manifest says, another run is making it, or the
            base isn't the one it was made from.
        InputError: if a value lies outside the dataset's ranges, or the draw is too near to one of another split.
        GateError: if the draw fails its proof; nothing is added then.
    """
    from roadsense.augment.card.dataset_card import write_card

    dataset = Dataset.open(folder)
    with hold_working_folder(dataset.folder, "addition") as working:
        dataset = Dataset.open(folder)  # as the last one who had it left it
        base = _find_base(dataset, Path(base_dir), addition.base)
        variation = draw_chosen(addition.chosen, base.traffic, read_settings_ranges(dataset))
        number = max(ScenarioName.parse(record.name).number for record in dataset.scenarios) + 1
        name = str(ScenarioName(number, base.name, variation.density_word, variation.driver_word))
        others = _keep_apart(dataset, base, variation, addition.split)
        record = _make(working / name, name, base, variation, addition.split)
        record = replace(record, train_distance=_train_distance(dataset, base, variation, addition.split))
        _move(working / name, dataset.folder / addition.split / name)
        grown = _grow(replace(dataset, scenarios=others), record, addition)
        write_manifest(grown)
        write_card(grown.folder)
        release(working)
    return Dataset.open(folder), record


def add_again(dataset: Dataset, base_dir: Path, chosen: Mapping[str, Mapping[str, Any]]) -> Dataset:
    """Adds to a dataset what another one's setting `chosen` lists, in its order; for the proof by rebuilding."""
    for entry in chosen.values():
        addition = Addition(entry["base"], ChosenDraw(**entry["values"]), entry["split"])
        dataset, _ = add_scenario(dataset.folder, base_dir, addition)
    return dataset


def read_settings_ranges(dataset: Dataset) -> VariationRanges:
    """Returns the ranges a dataset's draws come from."""
    return VariationRanges(**dataset.settings["ranges"])


def _find_base(dataset: Dataset, base_dir: Path, name: str) -> Base:
    settings, ranges = dataset.settings, read_settings_ranges(dataset)
    naming = ConvoyNaming(settings["ego"], tuple(settings["convoy"])) if settings.get("ego") else None
    bases = {base.name: base for base in read_bases(base_dir, ranges, naming)}
    if name not in bases or name not in dataset.bases:
        both = sorted(bases.keys() & dataset.bases.keys())
        raise DatasetError(f"{dataset.folder}: expected a base of {both}, got {name!r}. Choose one the dataset has.")
    if bases[name].hash_files() != dataset.bases[name]:
        raise DatasetError(f"{dataset.folder}: {base_dir}/{name} has changed since. Generate the dataset again.")
    return add_offers(bases[name], ranges)


def _keep_apart(dataset: Dataset, base: Base, variation: Variation, split: str) -> tuple[ScenarioRecord, ...]:
    # Returns the records with their distances to a new train draw; refuses one that lies too near.
    ranges, least = read_settings_ranges(dataset), dataset.settings["min_split_distance"]
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


def _train_distance(dataset: Dataset, base: Base, variation: Variation, split: str) -> float | None:
    ranges = read_settings_ranges(dataset)
    trained = [record for record in dataset.scenarios if record.split == "train" and record.base == base.name]
    if split == "train" or not trained:
        return None
    others = np.array([restore_variation(record.variation).place(ranges) for record in trained])
    return nearest_distance(variation.place(ranges), others)


def _make(folder: Path, name: str, base: Base, variation: Variation, split: str) -> ScenarioRecord:
    from roadsense.episodes.difficulty import measure_difficulty

    shutil.rmtree(folder, ignore_errors=True)
    edits = write_scenario(base, variation, folder)
    gate = asdict(prove(folder / CONFIG_NAME))
    refusals = [reason.replace(f"{folder.resolve()}/", "") for reason in gate.pop("refusals")]
    if refusals:
        shutil.rmtree(folder)
        raise GateError(f"{name} isn't added, its proof failed: {'; '.join(refusals)}. Choose other values.")
    (difficulty,) = measure_difficulty([folder / CONFIG_NAME], workers=1)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return ScenarioRecord(
        name=name,
        split=split,
        base=base.name,
        density=variation.density_word,
        driver=variation.driver_word,
        variation=asdict(variation),
        edits=[asdict(edit) for edit in edits],
        gate=gate,
        files={f"{split}/{name}/{path.relative_to(folder).as_posix()}": hash_file(path) for path in files},
        difficulty=difficulty,
    )


def _move(made: Path, target: Path) -> None:
    # What an addition that was killed here has left is not in the manifest, and its number was given anew.
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
