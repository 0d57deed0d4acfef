"""The trials of a search: settings and score of each, the best one, and all as a table, a study or a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from roadsense.cloud.session import make_client, translate_errors
from roadsense.jobs.target import JobError

if TYPE_CHECKING:
    import optuna
    import pandas as pd

COMPLETED = "Completed"
"""SageMaker's word for a trial that ran to its end."""


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        number: number in the order of the starts, from 1.
        job: name of its training job.
        status: SageMaker's word for its state.
        score: value of the objective; None before there is one.
        settings: values of the searched parameters, as text.
        hours: running time until now, hours; None before it started.
        reason: why it failed; empty otherwise.
    """

    number: int
    job: str
    status: str
    score: float | None
    settings: dict[str, str]
    hours: float | None = None
    reason: str = ""

    def as_row(self) -> dict[str, Any]:
        """Returns the trial as one row of a table."""
        own = {"number": self.number, "job": self.job, "status": self.status, "score": self.score, "hours": self.hours}
        return {**own, **self.settings, "reason": self.reason}


def read_trials(name: str, region: str | None = None) -> list[Trial]:
    """Returns the trials of a search, the best first and those without a score last."""
    with translate_errors():
        pages = (
            make_client("sagemaker", region)
            .get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
            .paginate(HyperParameterTuningJobName=name)
        )
        summaries = [summary for page in pages for summary in page["TrainingJobSummaries"]]
    summaries.sort(key=lambda summary: (summary["CreationTime"], summary["TrainingJobName"]))
    found = [_read(number, summary) for number, summary in enumerate(summaries, start=1)]
    return sorted(found, key=lambda trial: (trial.score is None, -(trial.score or 0.0), trial.job))


def find_best(name: str, region: str | None = None) -> Trial:
    """Returns the best trial that ran to its end.

    Raises:
        JobError: if there is none.
    """
    done = [trial for trial in read_trials(name, region) if trial.status == COMPLETED and trial.score is not None]
    if not done:
        raise JobError(f"No trial of {name} has run to its end with a score yet.")
    return done[0]


def make_study(trials: Sequence[Trial]) -> "optuna.Study":
    """Returns trials from `read_trials` as an Optuna study, for its figures (`optuna.visualization.matplotlib`)."""
    import optuna

    study = optuna.create_study(direction="maximize")
    for trial in sorted(trials, key=lambda each: each.number):
        is_done = trial.status == COMPLETED and trial.score is not None
        state = optuna.trial.TrialState.COMPLETE if is_done else optuna.trial.TrialState.FAIL
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=trial.score if is_done else None,
                params={name: _read_setting(text) for name, text in trial.settings.items()},
                distributions={name: _find_range(trials, name) for name in trial.settings},
                user_attrs={"job": trial.job, "status": trial.status, "reason": trial.reason},
            )
        )
    return study


def plot_trials(trials: Sequence[Trial], figure: str) -> Any:
    """Draws the scores of a search's trials so far with Optuna; returns the figure, or None without a score."""
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as drawn

    study = make_study(trials)
    if not any(trial.value is not None for trial in study.get_trials()):
        return None
    with pyplot.rc_context():  # Optuna sets a style for all figures that follow
        picture = drawn.plot_optimization_history(study, target_name=figure.replace("_", " ")).figure
    pyplot.close(picture)  # or a notebook shows it a second time
    return picture


def tabulate_trials(trials: Sequence[Trial]) -> "pd.DataFrame":
    """Returns a table with one row for each trial, in the given order."""
    import pandas as pd

    return pd.DataFrame([trial.as_row() for trial in trials])


def _read_setting(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _find_range(trials: Sequence[Trial], name: str) -> "optuna.distributions.BaseDistribution":
    """Returns the range of a setting that all trials together have: numbers, or a choice among texts."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [_read_setting(trial.settings[name]) for trial in trials if name in trial.settings]
    numbers = [value for value in values if isinstance(value, float)]
    if len(numbers) == len(values):
        return FloatDistribution(min(numbers), max(numbers))
    return CategoricalDistribution(list(dict.fromkeys(values)))


def _read(number: int, summary: dict[str, Any]) -> Trial:
    reached = summary.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    start, end = summary.get("TrainingStartTime"), summary.get("TrainingEndTime")
    return Trial(
        number=number,
        job=summary["TrainingJobName"],
        status=summary["TrainingJobStatus"],
        score=float(reached["Value"]) if "Value" in reached else None,
        settings={key: str(value) for key, value in summary.get("TunedHyperParameters", {}).items()},
        hours=round(((end or datetime.now(UTC)) - start).total_seconds() / 3600, 3) if start else None,
        reason=summary.get("FailureReason", ""),
    )
