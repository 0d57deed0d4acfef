"""The trials of a search: settings and score of each, the best one, and all trials as an Optuna study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.target import JobError
from roadsense.training.search_space import Choice, Range, SearchSpace

if TYPE_CHECKING:
    import optuna

COMPLETED = "Completed"
"""SageMaker's word for a trial that ran to its end."""
MISSING_CODE, MISSING_WORDS = "ResourceNotFound", ("not found", "could not find")
"""SageMaker's code if there is no such search, and the words of its message if there is no such training."""


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


def describe_training(name: str, region: str | None = None) -> dict[str, Any] | None:
    """Returns SageMaker's description of a training job, or None if there is none of this name."""
    client = make_client("sagemaker", region)
    return _ask_for(lambda: client.describe_training_job(TrainingJobName=name))


def describe_tuning(name: str, region: str | None = None) -> dict[str, Any] | None:
    """Returns SageMaker's description of a search, or None if there is none of this name."""
    client = make_client("sagemaker", region)
    return _ask_for(lambda: client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name))


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


def make_study(trials: Sequence[Trial], space: SearchSpace | None = None) -> "optuna.Study":
    """Returns the trials as an Optuna study, for its tables and figures (`optuna.visualization.matplotlib`).

    Args:
        trials: trials from `read_trials`.
        space: search space; by default that of `roadsense search`.
    """
    import optuna

    study = optuna.create_study(direction="maximize")
    ranges = (space or SearchSpace()).ranges()
    found = {
        trial.number: {name: _decode(ranges[name], text) for name, text in trial.settings.items() if name in ranges}
        for trial in trials
    }
    for trial in sorted(trials, key=lambda each: each.number):
        values = found[trial.number]
        is_done = trial.status == COMPLETED and trial.score is not None
        state = optuna.trial.TrialState.COMPLETE if is_done else optuna.trial.TrialState.FAIL
        study.add_trial(
            optuna.trial.create_trial(
                state=state,
                value=trial.score if is_done else None,
                params=values,
                distributions={
                    name: _distribution(ranges[name], [each[name] for each in found.values() if name in each])
                    for name in values
                },
                user_attrs={"job": trial.job, "status": trial.status, "reason": trial.reason},
            )
        )
    return study


def _decode(searched: Range | Choice, text: str) -> Any:
    if isinstance(searched, Choice):
        return next((value for value in searched.values if encode_value(value) == text), text)
    return round(float(text)) if searched.whole else float(text)


def _distribution(searched: Range | Choice, values: Sequence[Any]) -> "optuna.distributions.BaseDistribution":
    """Returns the range of a setting, wide enough for all values of a search that may have had another range."""
    from optuna import distributions

    if isinstance(searched, Choice):
        return distributions.CategoricalDistribution(list(dict.fromkeys([*searched.values, *values])))
    if searched.whole:
        return distributions.IntDistribution(
            min(int(searched.low), *values), max(int(searched.high), *values), log=searched.log
        )
    return distributions.FloatDistribution(min(searched.low, *values), max(searched.high, *values), log=searched.log)


def _ask_for(describe: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    try:
        with translate_errors():
            return describe()
    except CloudError as error:
        if error.code == MISSING_CODE or any(words in str(error).lower() for words in MISSING_WORDS):
            return None
        raise


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
