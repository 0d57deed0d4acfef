"""What `05_sagemaker` calls: a training or a tuning job prepared, sent, followed, and its best result brought back."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.preparation import Preparation, fetch_job, follow_job, submit_prepared
from roadsense.jobs.records import write_record
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_plan import plan_tuning
from roadsense.jobs.sagemaker_trials import find_best, read_trials, read_tuning
from roadsense.jobs.sagemaker_tuning import TuningConfig, name_tuning
from roadsense.progress import progress_bar
from roadsense.training.experiment import find_best_folder

LOOK_EVERY_S = 30.0
OVER = ("Completed", "Failed", "Stopped", "DeleteFailed")


@dataclass(frozen=True)
class Started:
    """A job that was sent.

    Attributes:
        name: of it.
        tuning: the search it makes; None for a single training.
    """

    name: str
    tuning: TuningConfig | None


def prepare_tuning(prepared: Preparation, tuning: TuningConfig) -> Preparation:
    """Returns a prepared training as the tuning job that makes many of it."""
    spec = replace(prepared.spec, name=name_tuning())
    return replace(prepared, spec=spec, request=plan_tuning(spec, tuning).describe())


def start(prepared: Preparation, tuning: TuningConfig | None) -> Started:
    """Sends a job that lacks nothing.

    Raises:
        InputError: naming what is missing.
    """
    if tuning is None:
        return Started(submit_prepared(prepared), None)
    if prepared.missing:
        raise InputError(f"Expected a job that lacks nothing. Missing: {' '.join(prepared.missing)}")
    name = SageMakerTarget(prepared.spec.region).submit_tuning(prepared.spec, tuning)
    return Started(name, tuning)


def follow(prepared: Preparation, started: Started) -> list[dict[str, Any]]:
    """Shows a job until it is over: a training's log, or how many trials of a tuning job have ended.

    Returns:
        A row for the training, or for each trial, the best first.
    """
    if started.tuning is None:
        status = follow_job(prepared, started.name)
        return [{"job": status.name, "status": str(status.state), "reason": status.reason}]
    region = prepared.spec.region
    with progress_bar(started.tuning.n_trials, "tuning", "trial") as bar:
        while True:
            is_over = read_tuning(started.name, region)["HyperParameterTuningJobStatus"] in OVER
            trials = read_trials(started.name, region)
            bar.update(sum(trial.status in OVER for trial in trials) - bar.n)
            if is_over:
                return [trial.as_row() for trial in trials]
            time.sleep(LOOK_EVERY_S)


def fetch(prepared: Preparation, started: Started) -> Path:
    """Brings the results of a training, or of the best trial, to `runs`, and returns the folder of what it made.

    Of several seeds it is the run with the best score on held-out scenarios.
    """
    if started.tuning is None:
        return find_best_folder(fetch_job(prepared, started.name))
    best = find_best(started.name, prepared.spec.region)
    spec = replace(prepared.spec, name=best.job)
    write_record(spec, best.job)
    return find_best_folder(fetch_job(replace(prepared, spec=spec), best.job))
