"""The scenarios to train on and the held-out ones; no scenario is in both."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.cloud.storage import find_dataset
from roadsense.errors import DatasetError, InputError, ScenarioError
from roadsense.scenarios.dataset import MANIFEST_NAME, check_scenarios
from roadsense.scenarios.records import ScenarioName
from roadsense.scenarios.scenario import find_scenarios, open_scenario
from roadsense.utils.files import hash_file

TRAIN, EVAL = "train", "eval"


@dataclass(frozen=True)
class Splits:
    """The scenarios of a training.

    Attributes:
        train_paths: paths of the `.sumocfg` files to train on.
        eval_paths: paths of the held-out `.sumocfg` files; empty if there are none.
        dataset_digest: digest in the dataset's manifest; None for a folder of loose scenarios.
        train_digest: SHA-256 over the content of the scenarios to train on.
    """

    train_paths: tuple[Path, ...]
    eval_paths: tuple[Path, ...]
    dataset_digest: str | None
    train_digest: str


def find_splits(
    dataset_dir: str | Path, eval_dir: str | Path | None = None, leave_out_base: str | None = None
) -> Splits:
    """Finds the scenarios of a training and opens each of them once.

    Args:
        dataset_dir: folder of training scenarios, or a dataset, whose `train` is used; a path or an S3 URL.
        eval_dir: folder of held-out scenarios; None for `eval` beside the dataset's `train`, if it exists.
        leave_out_base: base road whose scenarios are left out of the training; held-out ones stay.

    Raises:
        ScenarioError: if a folder holds no scenario, or one that cannot be opened.
        DatasetError: if a scenario would be trained on and held out, or differs from its dataset's manifest.
        InputError: if no scenario has the base that is left out, or all have it.
    """
    folder = find_dataset(dataset_dir)
    if (folder / TRAIN).is_dir() and (folder / EVAL).is_dir():
        folder = folder / TRAIN
    beside = folder.resolve().parent / EVAL
    if eval_dir is None and folder.resolve().name == TRAIN and beside.is_dir():
        eval_dir = beside
    train_paths = _leave_out(tuple(find_scenarios(folder)), leave_out_base)
    eval_paths = tuple(find_scenarios(find_dataset(eval_dir))) if eval_dir is not None else ()
    for path in train_paths:
        if _is_held_out(path):
            raise _leak(path, "its dataset holds it out (it is in the split `eval`)")
    digests = {path: hash_scenario(path) for path in train_paths}
    _check_apart(digests, eval_paths)
    whole = hashlib.sha256("".join(sorted(digests.values())).encode()).hexdigest()
    check_scenarios(eval_paths)
    return Splits(train_paths, eval_paths, check_scenarios(train_paths), whole)


def hash_scenario(config_path: Path) -> str:
    """Returns the SHA-256 over the content of a scenario's files, without their names and folders.

    Raises:
        ScenarioError: if it cannot be opened.
    """
    scenario = open_scenario(config_path)
    files = (scenario.network_path, *scenario.route_paths, *scenario.additional_paths)
    return hashlib.sha256("".join(hash_file(path) for path in files).encode()).hexdigest()


def _leave_out(paths: tuple[Path, ...], base: str | None) -> tuple[Path, ...]:
    if base is None:
        return paths
    bases = {path: name_base(path) for path in paths}
    kept = tuple(path for path in paths if bases[path] != base)
    if not kept or len(kept) == len(paths):
        raise InputError(
            f"Expected leave_out_base of several in the dataset, {sorted(set(bases.values()))}, got {base!r}."
        )
    return kept


def name_base(config_path: Path) -> str:
    """Returns the name of the base scenario that a scenario was drawn from; its own name if it was made by hand."""
    folder = config_path.parent.name
    try:
        return ScenarioName.parse(folder).base
    except ScenarioError:
        return folder


def _check_apart(digests: dict[Path, str], eval_paths: Sequence[Path]) -> None:
    places = {path.resolve() for path in digests}
    contents = {digest: path for path, digest in digests.items()}
    for path in eval_paths:
        if path.resolve() in places:
            raise _leak(path, "it is in eval_dir too")
        twin = contents.get(hash_scenario(path))
        if twin is not None:
            raise _leak(twin, f"its files are those of the held-out {path}")


def _is_held_out(path: Path) -> bool:
    split = path.resolve().parent.parent
    return split.name == EVAL and (split.parent / MANIFEST_NAME).is_file()


def _leak(path: Path, reason: str) -> DatasetError:
    return DatasetError(
        f"Expected training scenarios that nothing is judged on, but {path} cannot be trained on: {reason}. "
        "Train on the dataset's `train` and name its `eval` as eval_dir."
    )
