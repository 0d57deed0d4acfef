"""An experiment: the same training with several seeds, one run for each in one folder, and one score over all runs.

Everything is read from the folder, so any process can do it, during the training and after.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from roadsense.errors import RunError
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.runs.state import TRAINED, read_state
from roadsense.utils.files import read_json

EXPERIMENT_NAME = "experiment.json"
MEAN_SCORE, WORST_SCORE = "experiment_score", "experiment_worst_score"
"""Figures over an experiment's seeds: the mean of their scores on held-out scenarios, and the lowest of them."""


def is_experiment(folder: Path) -> bool:
    """Returns whether a folder is that of an experiment."""
    return (folder / EXPERIMENT_NAME).is_file()


def list_seed_folders(folder: Path) -> list[Path]:
    """Returns the folders of an experiment's runs in training order, including runs that have not begun."""
    settings = read_json(folder / EXPERIMENT_NAME, "the settings of an experiment", RunError, seeds=list)
    return [name_seed_folder(folder, seed) for seed in settings["seeds"]]


def name_seed_folder(folder: Path, seed: int) -> Path:
    """Returns the folder of an experiment's run with this seed."""
    return folder / f"seed_{seed}"


def list_run_folders(folder: Path) -> list[Path]:
    """Returns the folders of an experiment's runs that have begun; for a run, its own folder if it has begun."""
    folders = list_seed_folders(folder) if is_experiment(folder) else [folder]
    return [each for each in folders if (each / "config.json").is_file()]


def find_current_folder(folder: Path) -> Path:
    """Returns the folder of the current run: the latest one of an experiment, else the folder itself."""
    begun = list_run_folders(folder)
    return begun[-1] if begun else folder


def is_trained(folder: Path) -> bool:
    """Returns whether a run, or every run of an experiment, was trained to its end."""
    folders = list_seed_folders(folder) if is_experiment(folder) else [folder]
    return all((each / "config.json").is_file() and read_state(each).name == TRAINED for each in folders)


def read_last_score(folder: Path) -> float | None:
    """Returns the score of a run's last evaluation on held-out scenarios; None without one."""
    scores = [line.get("eval_score") for line in read_metric_lines(folder / "metrics.jsonl")]
    known = [float(score) for score in scores if score is not None]
    return known[-1] if known else None


def score_seeds(scores: Sequence[float]) -> dict[str, float]:
    """Returns an experiment's figures over the scores of its seeds (at least one)."""
    return {MEAN_SCORE: sum(scores) / len(scores), WORST_SCORE: min(scores)}


def find_best_folder(folder: Path) -> Path:
    """Returns the folder of an experiment's run with the best score, the first if none has one; else `folder`.

    This choice uses held-out scenarios, with other seeds than the final evaluation.
    """
    return max(list_run_folders(folder), key=_rank, default=folder)


def _rank(folder: Path) -> float:
    score = read_last_score(folder)
    return -math.inf if score is None else score
