"""Copies a job's results from the notebook's folders into the folder that is kept."""

import shutil
from pathlib import Path

from roadsense.runs.experiment import is_experiment, list_seed_folders
from roadsense.runs.products import read_products
from roadsense.runs.stopping import STOP_NAME

NOT_KEPT = ("checkpoints", "heldout", STOP_NAME)
MARKERS = (".sagemaker-uploading", ".sagemaker-uploaded")
"""Ends of the files that SageMaker puts beside those it copies to S3; they come and go at any time."""


def gather_run(run_dir: Path, model_dir: Path) -> None:
    """Copies a run folder without checkpoints, so that the copy opens as the run; a stopped run may be incomplete.

    For an experiment, it copies the run of each seed.
    """
    if not run_dir.is_dir():
        return
    seeds = list_seed_folders(run_dir) if is_experiment(run_dir) else []
    for seed in seeds:
        gather_run(seed, model_dir / seed.name)
    for path in sorted(run_dir.iterdir()):
        is_ours = not path.name.startswith(".") and not path.name.endswith(MARKERS)
        if is_ours and path not in seeds and path.name not in NOT_KEPT:
            _copy(path, model_dir / path.name)


def gather_products(list_path: Path, model_dir: Path) -> None:
    """Copies the result folders on the notebook's list: evaluations, an export."""
    for folder in read_products(list_path):
        _copy(folder, model_dir / folder.name)


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        markers = shutil.ignore_patterns(*(f"*{end}" for end in MARKERS))
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=markers)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)
