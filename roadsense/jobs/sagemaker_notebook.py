"""What `05_sagemaker` calls: a training or a tuning job prepared, sent, followed, and its best result brought back."""

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from roadsense.errors import InputError
from roadsense.jobs.metric_series import MetricSeries, describe_latest, plot_series
from roadsense.jobs.preparation import Preparation, fetch_job, submit_prepared
from roadsense.jobs.records import write_record
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_metrics import follow_series
from roadsense.jobs.sagemaker_plan import plan_tuning
from roadsense.jobs.sagemaker_trials import Trial, find_best, read_trials, read_tuning
from roadsense.jobs.sagemaker_tuning import TuningConfig, name_tuning, take_seeds
from roadsense.jobs.trial_plots import plot_trials
from roadsense.runs.experiment import find_best_folder
from roadsense.utils.progress import progress_bar
from roadsense.widgets.live_picture import REDRAW_S, LivePicture

LOOK_EVERY_S = 10.0
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
    return Started(name, take_seeds(prepared.spec, tuning)[1])


def follow(prepared: Preparation, started: Started, redraw_s: float = REDRAW_S) -> list[dict[str, Any]]:
    """Shows a job until it is over: a training's log and curves, or the trials of a tuning job.

    The picture is updated in place. In a headless run it comes once, at the end, and figures are told as plain lines,
    one for each evaluation on held-out scenarios.

    Args:
        prepared: the job, as it was sent.
        started: what `start` returned.
        redraw_s: seconds between two drawings at least.

    Returns:
        A row for the training, or for each trial, the best first.
    """
    picture, region = LivePicture(redraw_s), prepared.spec.region
    if started.tuning is not None:
        return _follow_trials(started.name, started.tuning, region, picture)
    target, told = SageMakerTarget(region), _Told(picture)
    for line in follow_series(target, started.name, told.look):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    told.finish()
    status = target.status(started.name)
    return [{"job": status.name, "status": str(status.state), "reason": status.reason}]


class _Told:
    """What was shown of a training's figures: the picture, and a line for each evaluation."""

    def __init__(self, picture: LivePicture):
        self._picture, self._series = picture, MetricSeries()
        self._n_judged = 0

    def look(self, series: MetricSeries) -> None:
        self._series = series
        table = series.table()
        n_judged = int(table["eval_score"].count()) if "eval_score" in table else 0
        if n_judged > self._n_judged:
            self._n_judged = n_judged
            sys.stdout.write(f"{describe_latest(series)}\n")
        self._picture.offer(lambda: plot_series(series))

    def finish(self) -> None:
        self._picture.finish(lambda: plot_series(self._series))


def _follow_trials(name: str, tuning: TuningConfig, region: str | None, picture: LivePicture) -> list[dict[str, Any]]:
    with progress_bar(tuning.n_trials, "tuning", "trial") as bar:
        while True:
            is_over = read_tuning(name, region)["HyperParameterTuningJobStatus"] in OVER
            trials = read_trials(name, region)
            bar.update(sum(trial.status in OVER for trial in trials) - bar.n)
            show = picture.finish if is_over else picture.offer
            show(partial(_draw_trials, trials, tuning.figure))
            if is_over:
                return [trial.as_row() for trial in trials]
            time.sleep(LOOK_EVERY_S)


def _draw_trials(trials: list[Trial], objective: str) -> Figure | None:
    return plot_trials(trials, objective) if trials else None


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
