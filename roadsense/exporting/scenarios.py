"""The scenarios of an export: for recording observations, and for driving the exported policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.cloud.storage import find_dataset
from roadsense.errors import InputError
from roadsense.runs.run import Run
from roadsense.scenarios.dataset import check_scenarios
from roadsense.scenarios.scenario import find_scenarios, open_scenario
from roadsense.training.splits import EVAL, TRAIN, hash_scenario


@dataclass(frozen=True)
class Roads:
    """Scenarios of an export, as paths of `.sumocfg` files.

    Attributes:
        calibration_paths: scenarios that int8 is calibrated on; by default those that the policy was trained on.
        driven_paths: scenarios of the parity check and of the drive; held-out ones if there are any.
        held_out: whether none of `driven_paths` was trained on; None if unknown.
    """

    calibration_paths: tuple[Path, ...]
    driven_paths: tuple[Path, ...]
    held_out: bool | None


def choose_roads(run: Run, dataset_dir: str | None, eval_dir: str | None) -> Roads:
    """Returns the scenarios of an export, each opened once.

    Args:
        run: run that is exported.
        dataset_dir: folder of scenarios, or of a dataset with `train` and `eval`; None for the run's training data.
        eval_dir: folder of held-out scenarios; None for those of the run, or `eval` beside `train`, or `dataset_dir`.

    Raises:
        InputError: if no folder of scenarios is known.
        ScenarioError: if a folder holds none, or one that cannot be opened.
        DatasetError: if a scenario differs from its dataset's manifest.
    """
    config = run.read_config() if run.config_path.is_file() else {}
    trained_on = config.get("dataset_dir")
    chosen = dataset_dir or trained_on
    if not isinstance(chosen, str):
        raise InputError(f"{run.folder} does not say what it was trained on. Name a folder of scenarios: dataset_dir.")
    folder = _train_of(find_dataset(chosen))
    held_out_dir = eval_dir or (None if dataset_dir else config.get("eval_dir")) or _eval_beside(folder)
    calibration_paths = tuple(find_scenarios(folder))
    driven_paths = tuple(find_scenarios(find_dataset(held_out_dir))) if held_out_dir else calibration_paths
    for path in {*calibration_paths, *driven_paths}:
        open_scenario(path)
    check_scenarios({*calibration_paths, *driven_paths})
    return Roads(calibration_paths, driven_paths, _are_held_out(driven_paths, trained_on))


def _train_of(folder: Path) -> Path:
    is_dataset = (folder / TRAIN).is_dir() and (folder / EVAL).is_dir()
    return folder / TRAIN if is_dataset else folder


def _eval_beside(folder: Path) -> Path | None:
    beside = folder.resolve().parent / EVAL
    return beside if folder.resolve().name == TRAIN and beside.is_dir() else None


def _are_held_out(paths: Sequence[Path], trained_on: object) -> bool | None:
    try:
        trained_paths = find_scenarios(_train_of(find_dataset(trained_on))) if isinstance(trained_on, str) else []
    except InputError:  # its training data cannot be reached from this machine
        return None
    trained = {hash_scenario(path) for path in trained_paths}
    return trained.isdisjoint(hash_scenario(path) for path in paths) if trained else None
