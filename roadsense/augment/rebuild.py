"""Checks a dataset: its files against its manifest, and, made again, against its settings and base scenarios."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.augment.bases.base import name_base
from roadsense.augment.config import CHOSEN, GenConfig
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.generate import generate_dataset
from roadsense.augment.validation.additions import add_again
from roadsense.errors import DatasetError
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.scenario import find_scenarios
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.workspace import Folders, find_folders


@dataclass(frozen=True)
class VerifyConfig:
    """Settings of `roadsense verify`.

    Attributes:
        dataset: folder of the dataset.
        rebuild: whether to generate the dataset again from its base scenarios and compare byte by byte.
        base_dir: folders of the base scenarios, for `rebuild`; if they don't exist, those of the package.
    """

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    rebuild: bool = False
    base_dir: tuple[Path, ...] = (Path("scenarios/base"), Path("scenarios/bends"))


def verify(config: VerifyConfig) -> None:
    """Compares the files of a dataset with its manifest, and prints that they agree.

    Raises:
        DatasetError: if they differ, naming the differences.
    """
    dataset = Dataset.open(config.dataset)
    differences = dataset.verify()
    if config.rebuild and not differences:
        differences = rebuild_differences(dataset, config.base_dir)
    if differences:
        raise DatasetError(f"{config.dataset} is not what its manifest says: {'; '.join(differences)}.")
    sys.stdout.write(f"{config.dataset}: every file is as its manifest says.\n")


def rebuild_differences(dataset: Dataset, base_dir: Folders, workers: int = 0) -> list[str]:
    """Makes a dataset again from its base scenarios and returns the differences, one line each.

    Args:
        dataset: the dataset to check; its files aren't read, for that use `Dataset.verify`.
        base_dir: folder or folders of the base scenarios; those that the dataset was not made from don't matter.
        workers: number of scenarios simulated at the same time; 0: one for each core.

    Raises:
        DatasetError: if a base of the dataset is missing, or another version made it with other settings.
    """
    own_dirs = _find_bases(dataset, base_dir)
    if later := sorted({each.name for each in fields(VariationRanges)} - dataset.settings.get("ranges", {}).keys()):
        raise DatasetError(
            f"{dataset.folder} was made before {', '.join(later)} could be varied: this version of RoadSense cannot "
            "make it again. `roadsense verify` without --rebuild compares its files."
        )
    with scratch_folder("roadsense_rebuild_") as outer:
        again = generate_dataset(GenConfig.from_settings(dataset.settings, own_dirs, outer / "again", workers))
        again = add_again(again, own_dirs, dataset.settings.get(CHOSEN, {}))
    old, new = _hashes(dataset), _hashes(again)
    differences = [f"not rebuilt: {name}" for name in sorted(old.keys() - new)]
    differences += [f"new when rebuilt: {name}" for name in sorted(new.keys() - old)]
    both = sorted(old.keys() & new)
    differences += [f"other when rebuilt: {name}" for name in both if old[name] != new[name]]
    if not differences and again.digest != dataset.digest:
        differences.append("other when rebuilt: the manifest's settings or values")
    if differences and again.versions != dataset.versions:
        differences.append(f"made with {_listed(dataset.versions)}, rebuilt with {_listed(again.versions)}")
    return differences


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _find_bases(dataset: Dataset, base_dir: Folders) -> list[Path]:
    folders = find_folders(base_dir)
    found = {name_base(path): path.parent for path in find_scenarios(*folders)}
    if missing := sorted(dataset.bases.keys() - found):
        raise DatasetError(
            f"{dataset.folder}: expected the bases it was made from below {', '.join(map(str, folders))}; "
            f"{', '.join(missing)} is not there. Name their folders with --base_dir."
        )
    return [found[name] for name in dataset.bases]


def _hashes(dataset: Dataset) -> dict[str, str]:
    return {name: digest for record in dataset.scenarios for name, digest in record.files.items()}
