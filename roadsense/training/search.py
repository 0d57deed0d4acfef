"""Search for good settings: each trial is a training, judged on held-out scenarios; poor trials are stopped early.

Everything is in one folder: Optuna's journal, and a run for each trial. Start a stopped or killed search again
to resume it: trials under way resume from their checkpoints.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import optuna
import pandas as pd
import tyro
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from roadsense.errors import InputError
from roadsense.runs.experiment import (
    MEAN_SCORE,
    find_current_folder,
    is_experiment,
    is_trained,
    list_run_folders,
)
from roadsense.runs.run import Run
from roadsense.runs.stopping import STOP_NAME, StoppedError, StopRequest
from roadsense.training.search_space import Choice, Range, SearchSpace
from roadsense.training.splits import find_splits
from roadsense.training.train_config import TrainConfig
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.workspace import resolve_fields

JOURNAL_NAME, TRIALS_NAME, BEST_NAME = "journal.log", "trials.csv", "best.json"
LOOK_EVERY_S = 0.5
N_WARM_TRIALS = 5
"""No trial is stopped early before this many have ended."""


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search.

    Attributes:
        search_dir: folder of the search; an existing search is resumed.
        dataset_dir: see `TrainConfig`; held-out scenarios are needed.
        eval_dir: see `TrainConfig`.
        n_trials: number of trials, including those of earlier starts; the first has the default settings.
        n_parallel: number of trials that run at a time.
        total_timesteps: environment steps of each trial.
        imitation_timesteps: environment steps of each trial's head start.
        n_evaluations: number of evaluations of each trial, evenly spaced; each may stop the trial.
        eval_episodes: episodes of each evaluation.
        n_workers: number of worker processes of each trial; 0 for four a core.
        seed: seed of the search, and of each training if `seeds` is empty.
        seeds: seeds with which each trial trains its settings, as an experiment; it is judged by the mean of their
            scores. Each seed adds the time of one training.
        log: where each trial's metrics are written too, see `TrainConfig`.
        space: ranges of the settings that are searched; from Python only.
    """

    search_dir: Path
    dataset_dir: str = "scenarios/dataset_v1/train"
    eval_dir: str | None = None
    n_trials: int = bounded(20, 1, 100_000)
    n_parallel: int = bounded(1, 1, MAX_WORKERS)
    total_timesteps: int = bounded(1_000_000, 1)
    imitation_timesteps: int = bounded(150_000, 0)
    n_evaluations: int = bounded(4, 1, 10_000)
    eval_episodes: int = bounded(100, 1, 1_000_000)
    n_workers: Annotated[int, tyro.conf.arg(name="workers")] = bounded(0, 0, MAX_WORKERS)
    seed: int = bounded(0, 0, MAX_SEED)
    seeds: tuple[int, ...] = ()
    log: tuple[str, ...] = ()
    space: tyro.conf.Suppress[SearchSpace] = field(default_factory=SearchSpace)

    def __post_init__(self) -> None:
        check_bounds(self)
        resolve_fields(self, "search_dir")


@dataclass
class _Active:
    """A trial under way; it has no process if its training had ended before this start."""

    trial: optuna.Trial
    run: Run
    process: subprocess.Popen[bytes] | None
    n_reported: int = 0
    score: float | None = None
    is_pruned: bool = False


def search(config: SearchConfig) -> pd.DataFrame:
    """Searches and returns a row for each trial, also written to `trials.csv`; the best settings go to `best.json`.

    The score of a trial is that of its last evaluation, see `roadsense.training.heldout`; with several seeds it is the
    mean over them, as in a tuning job on SageMaker. A trial is compared with others at the same number of
    evaluations, so that a poor one ends within its first seeds.

    Raises:
        InputError: without held-out scenarios.
        StoppedError: if a stop was requested, by a signal or a file `stop` in its folder.
    """
    if not find_splits(config.dataset_dir, config.eval_dir).eval_paths:
        raise InputError(f"Expected held-out scenarios to judge trials on, found none for {config.dataset_dir}.")
    config.search_dir.mkdir(parents=True, exist_ok=True)
    sys.stderr.write(f"{_tell_scope(config)}\n")
    study, stop = _open_study(config), StopRequest(config.search_dir)
    waiting, active = _trials(study, config), list[_Active]()
    with stop.listening():
        try:
            while not stop.is_made():
                while len(active) < config.n_parallel and (trial := next(waiting, None)):
                    active.append(_start(trial, config))
                if not active:
                    return _write_results(study, config)
                active = [each for each in active if not _follow(each, study)]
                time.sleep(LOOK_EVERY_S)
        finally:
            processes = [each.process for each in active if each.process]
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
    raise StoppedError(f"Stopped by {stop.reason}. Start the search again to resume it.")


def _tell_scope(config: SearchConfig) -> str:
    n_seeds = len(config.seeds)
    seeds = f" of {n_seeds} seeds each are {config.n_trials * n_seeds} trainings," if n_seeds else ""
    return f"{config.n_trials} trials{seeds} of {config.total_timesteps:,} steps at most, {config.n_parallel} at a time"


def _open_study(config: SearchConfig) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(config.search_dir / JOURNAL_NAME)))
    study = optuna.create_study(
        storage=storage, study_name="search", direction="maximize", load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=N_WARM_TRIALS),
    )  # fmt: skip
    if not study.trials:
        study.enqueue_trial(settle_defaults(config.space))
    # A resumed search must not draw the same settings again.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
    return study


def _trials(study: optuna.Study, config: SearchConfig) -> Iterator[optuna.Trial]:
    """Yields the trials under way, then new ones."""
    for frozen in study.get_trials(states=(TrialState.RUNNING,)):
        yield optuna.Trial(study, frozen._trial_id)
    while sum(trial.state != TrialState.WAITING for trial in study.get_trials(deepcopy=False)) < config.n_trials:
        yield study.ask()


def _start(trial: optuna.Trial, config: SearchConfig) -> _Active:
    run = Run(config.search_dir / f"trial_{trial.number:03d}")
    settings = {
        **suggest(trial, config.space),
        "run_dir": run.folder,
        "dataset_dir": config.dataset_dir,
        "total_timesteps": config.total_timesteps,
        "imitation_timesteps": config.imitation_timesteps,
        "eval_interval": max(config.total_timesteps // config.n_evaluations, 1),
        "eval_episodes": config.eval_episodes,
        "n_workers": config.n_workers,
        "seed": config.seed,
    }
    if config.eval_dir is not None:
        settings["eval_dir"] = config.eval_dir
    if is_experiment(run.folder) or run.manifest_path.is_file():
        if is_trained(run.folder):
            return _Active(trial, run, None)
        settings = {"resume": run.folder}
    options = [f"--{name}={value}" for name, value in settings.items()]
    if config.seeds and "resume" not in settings:
        options += ["--seeds", *map(str, config.seeds)]
    if config.log and "resume" not in settings:
        options += ["--log", *config.log]
    command = [sys.executable, "-m", "roadsense.train_convoy", *options]
    # In a separate group, so that only the search gets Ctrl-C; it then ends its trials in order.
    return _Active(trial, run, subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True))


def _follow(active: _Active, study: optuna.Study) -> bool:
    """Reports a trial's new evaluations, stops it if it is poor, and returns whether it has ended."""
    code = active.process.poll() if active.process else 0
    for score in _read_scores(active.run.folder)[active.n_reported :]:
        active.n_reported, active.score = active.n_reported + 1, score
        active.trial.report(score, active.n_reported)
    if code is None:
        active.is_pruned = active.is_pruned or bool(active.n_reported and active.trial.should_prune())
        if active.is_pruned:  # repeated: the next seed of an experiment may just have begun
            (find_current_folder(active.run.folder) / STOP_NAME).touch()
        return False
    if code == 0:
        study.tell(active.trial, active.score)
    else:
        study.tell(active.trial, state=TrialState.PRUNED if active.is_pruned else TrialState.FAIL)
    return True


def _read_scores(folder: Path) -> list[float]:
    """Returns the scores a trial has reached so far, one for each evaluation; an experiment's over its seeds."""
    name = MEAN_SCORE if is_experiment(folder) else "eval_score"
    tables = [Run(each).read_metrics() for each in list_run_folders(folder)]
    return [float(score) for table in tables if name in table for score in table[name].dropna()]


def _write_results(study: optuna.Study, config: SearchConfig) -> pd.DataFrame:
    table = study.trials_dataframe(attrs=("number", "state", "value", "duration", "params"))
    write_atomically(config.search_dir / TRIALS_NAME, table.to_csv(index=False))
    done = study.get_trials(states=(TrialState.COMPLETE,))
    if done:
        best = {"trial": study.best_trial.number, "score": study.best_value, "settings": study.best_params}
        write_atomically(config.search_dir / BEST_NAME, json.dumps(best, indent=2) + "\n")
    return table


def suggest(trial: optuna.Trial, space: SearchSpace) -> dict[str, Any]:
    """Returns a trial's settings by name."""
    settings: dict[str, Any] = {}
    for name, searched in space.ranges().items():
        if isinstance(searched, Choice):
            settings[name] = trial.suggest_categorical(name, list(searched.values))
        else:
            settings[name] = _suggest_number(trial, name, searched)
    return settings


def settle_defaults(space: SearchSpace) -> dict[str, Any]:
    """Returns the first trial's settings: the defaults of `TrainConfig`, or the nearest values in the space."""
    defaults = {name: getattr(TrainConfig, name) for name in space.ranges()}
    for name, searched in space.ranges().items():
        if isinstance(searched, Range):
            defaults[name] = min(max(defaults[name], searched.low), searched.high)
        elif defaults[name] not in searched.values:
            defaults[name] = searched.values[0]
    return defaults


def _suggest_number(trial: optuna.Trial, name: str, searched: Range) -> float:
    if searched.whole:
        return trial.suggest_int(name, round(searched.low), round(searched.high), log=searched.log)
    return trial.suggest_float(name, searched.low, searched.high, log=searched.log)


def search_and_print(config: SearchConfig) -> None:
    """Searches for training settings with a better score on held-out scenarios, and prints the trials, best first."""
    sys.stdout.write(f"{search(config).to_string(index=False)}\n{config.search_dir}\n")
