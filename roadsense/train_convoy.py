"""Trains a brake assist on a dataset: settings in, run folder out.

TensorFlow is never imported here. The worker processes run SUMO and import nothing that learns.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from roadsense.envs.own_parts import describe_own
from roadsense.errors import DatasetError, RunError
from roadsense.runs.experiment import (
    EXPERIMENT_NAME,
    find_best_folder,
    is_experiment,
    name_seed_folder,
    read_last_score,
)
from roadsense.runs.run import Run, create_run, open_run, refuse_other_observation
from roadsense.runs.state import TRAINED
from roadsense.training.learning import LEARNER_THREADS, choose_learner_threads, run_training
from roadsense.training.splits import find_splits
from roadsense.training.targets import check_targets
from roadsense.training.train_config import TrainConfig, complete, restore_config
from roadsense.utils.command import run_with_options
from roadsense.utils.files import part_name, read_json, refuse_existing, write_atomically
from roadsense.utils.progress import working
from roadsense.utils.workspace import resolve

__all__ = ["TrainConfig", "train_and_print", "train_policy", "train_seeds"]


def train_policy(config: TrainConfig) -> Run:
    """Trains a policy and returns its run folder, with settings, manifest, metrics, checkpoints and model.

    With several `seeds` it trains an experiment, a run for each seed, and returns the run with the best score.
    SIGTERM, SIGHUP, Ctrl-C or a file `stop` in the run folder end a training at the next step, or after the gradient
    steps that have begun, with a checkpoint. `resume` continues a run that was stopped, or whose process died.

    Args:
        config: settings of the training.

    Raises:
        InputError: if a setting cannot be used.
        ScenarioError: if the dataset folder holds no scenario, or one that cannot be opened.
        DatasetError: if a scenario would be both trained on and held out, or a resumed run finds other scenarios.
        RunError: if the run folder holds something already, or cannot be resumed.
        StoppedError: if a stop was requested.

    Examples:
        >>> import roadsense as rs
        >>> tiny = {"total_timesteps": 64, "imitation_timesteps": 0, "n_workers": 1, "rollout_steps": 32}
        >>> run = rs.train_policy(rs.TrainConfig("scenarios/base", run_dir="runs/tiny", **tiny))
        >>> run.count_timesteps()
        64
    """
    runs = _train_all(config)
    return runs[0] if len(runs) == 1 else Run(find_best_folder(runs[0].folder.parent))


def _train_all(config: TrainConfig) -> list[Run]:
    is_one = not config.seeds and not is_experiment(resolve(config.resume or ""))
    return [_train(config, None)] if is_one else train_seeds(config)


def _train(config: TrainConfig, earlier_scores: Sequence[float] | None) -> Run:
    if config.resume:
        return _resume(config, earlier_scores)
    check_targets(config.log)
    with working("opening the scenarios"):
        splits = find_splits(config.dataset_dir, config.eval_dir, config.leave_out_base)
    config = complete(config)
    facts = {
        "dataset_digest": splits.dataset_digest,
        "train_digest": splits.train_digest,
        "n_scenarios": len(splits.train_paths),
        "n_eval_scenarios": len(splits.eval_paths),
        "own_code": describe_own(config.env_config()),
        LEARNER_THREADS: choose_learner_threads(config),
    }
    run = create_run(config.run_dir or "", config, facts)
    run_training(run, config, splits, earlier_scores)
    return run


def train_seeds(config: TrainConfig) -> list[Run]:
    """Trains a policy for each of `config.seeds`, one after the other, and returns their runs.

    The experiment's folder holds `experiment.json` and a run for each seed. A resume leaves
    trained runs alone and continues or starts the others. Each evaluation on held-out scenarios also logs the
    experiment's score so far, over the trained seeds and the current one; the last one is over all seeds.

    Raises:
        RunError: if the experiment's folder holds something already.
        InputError: see `train_policy`, which has the other errors as well.
    """
    if config.resume:
        folder = resolve(config.resume)
        saved = read_json(folder / EXPERIMENT_NAME, "the settings of an experiment", RunError)
        whole = replace(restore_config(saved, folder, config), allow_other_dataset=config.allow_other_dataset)
    else:
        whole = complete(config)
        folder = resolve(whole.run_dir or "")
        refuse_existing(folder, "the experiment", RunError, [part_name(EXPERIMENT_NAME)])
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / EXPERIMENT_NAME, json.dumps(asdict(whole), indent=2) + "\n")
    runs: list[Run] = []
    for seed in whole.seeds:
        scores = [read_last_score(run.folder) for run in runs]
        runs.append(
            _train_seed(whole, name_seed_folder(folder, seed), seed, [each for each in scores if each is not None])
        )
    return runs


def _train_seed(whole: TrainConfig, folder: Path, seed: int, earlier_scores: Sequence[float]) -> Run:
    run = Run(folder)
    if not run.manifest_path.is_file():
        config = replace(whole, seed=seed, seeds=(), run_dir=str(folder), allow_other_dataset=False)
        return _train(config, earlier_scores)
    if run.read_state().name == TRAINED:
        return run
    moved: dict[str, Any] = (
        {"dataset_dir": whole.dataset_dir, "eval_dir": whole.eval_dir} if whole.allow_other_dataset else {}
    )
    config = TrainConfig(resume=str(folder), allow_other_dataset=whole.allow_other_dataset, **moved)
    return _train(config, earlier_scores)


def _resume(asked: TrainConfig, earlier_scores: Sequence[float] | None) -> Run:
    run = open_run(asked.resume or "", trained=False)
    if not run.manifest_path.is_file():
        raise RunError(f"{run.folder}: the process died before the training began. Start it anew, without --resume.")
    refuse_other_observation(run, is_resumed=True)
    config = restore_config(run.read_config(), run.folder, asked)
    if run.read_state().name == TRAINED:
        raise RunError(f"Expected a run that was stopped or broke, but {run.folder} is trained to its end.")
    own = describe_own(config.env_config())
    if own != run.read_manifest().get("own_code", {}):
        raise RunError(
            f"Expected the own code the run began with, but {', '.join(each['name'] for each in own.values())} was "
            "changed since. Restore it, or begin a new run."
        )
    splits = find_splits(config.dataset_dir, config.eval_dir, config.leave_out_base)
    begun_with = read_json(run.manifest_path, "the manifest of a run", RunError, train_digest=str)["train_digest"]
    if splits.train_digest != begun_with and not asked.allow_other_dataset:
        raise DatasetError(
            f"Expected the scenarios the run began with (digest {begun_with[:12]}), but {config.dataset_dir} holds "
            f"others ({splits.train_digest[:12]}). Name the same, or allow it with --allow_other_dataset."
        )
    run_training(run, config, splits, earlier_scores)
    return run


def train_and_print(config: TrainConfig) -> None:
    """Trains a policy on the scenarios of a dataset, or one for each of several seeds, and prints where they are."""
    for run in _train_all(config):
        sys.stdout.write(f"Trained policy: {run.model_path}\n")


if __name__ == "__main__":
    sys.exit(run_with_options(train_and_print, TrainConfig, "roadsense train"))
