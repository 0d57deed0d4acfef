"""The trials of a tuning job: what each tried and reached, and the best one."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.target import JobError

COMPLETED, FAILED = "Completed", "Failed"
"""SageMaker's words for a trial that came to its end, and for one that did not."""
MISSING_WORDS = ("not found", "could not find", "does not exist")


@dataclass(frozen=True)
class Trial:
    """One training of a tuning job.

    Attributes:
        number: in the order they began, from 1.
        job: name of its training job.
        status: SageMaker's word for it.
        score: what it reached of the objective; None if it has told nothing yet.
        settings: the parameters that were searched, as text.
        hours: it has run; None before it began.
        reason: why it failed, in the runner's words; empty otherwise.
    """

    number: int
    job: str
    status: str
    score: float | None
    settings: dict[str, str]
    hours: float | None = None
    reason: str = ""

    def as_row(self) -> dict[str, Any]:
        """Returns it as one row of a table."""
        own = {"number": self.number, "job": self.job, "status": self.status, "score": self.score, "hours": self.hours}
        return {**own, **self.settings, "reason": self.reason}


def read_tuning(name: str, region: str | None = None) -> dict[str, Any]:
    """Returns a tuning job as SageMaker describes it.

    Raises:
        InputError: if there is none of this name.
    """
    try:
        with translate_errors():
            return make_client("sagemaker", region).describe_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
    except CloudError as error:
        if any(word in str(error).lower() for word in MISSING_WORDS):
            raise InputError(f"Expected a tuning job, and SageMaker knows none named {name!r}.") from error
        raise


def read_trials(name: str, region: str | None = None) -> list[Trial]:
    """Returns the trials of a tuning job, the best first and those without a score last."""
    read_tuning(name, region)
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
    """Returns the best trial that came to its end.

    Raises:
        JobError: if none did.
    """
    done = [trial for trial in read_trials(name, region) if trial.status == COMPLETED and trial.score is not None]
    if not done:
        raise JobError(f"No trial of {name} has come to its end with a score yet.")
    return done[0]


def stop_tuning(name: str, region: str | None = None) -> None:
    """Asks a tuning job and its trials to end."""
    if read_tuning(name, region)["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping"):
        with translate_errors():
            make_client("sagemaker", region).stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)


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
