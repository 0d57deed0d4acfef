"""Jobs on SageMaker: training jobs, and tuning jobs with their trials, each known by its name."""

import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roadsense.cloud.session import CloudError, find_owner, find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.errors import InputError
from roadsense.jobs.cost import list_price
from roadsense.jobs.sagemaker_logs import read_lines
from roadsense.jobs.sagemaker_plan import SageMakerPlan, plan_training, plan_tuning
from roadsense.jobs.sagemaker_results import fetch_results
from roadsense.jobs.sagemaker_send import send
from roadsense.jobs.sagemaker_tuning import TuningConfig
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.target import JobState, JobStatus
from roadsense.training.search_space import SearchSpace

NOT_STARTED = "9999"
"""Sorts jobs that wait before all others."""
WAITING_PHASES = ("Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack")
MISSING_CODES, MISSING_WORDS = ("ResourceNotFound", "ValidationException"), ("not found", "could not find")
"""How SageMaker says that there is no such job: by its text alone, behind a code of many meanings."""
STATES = {
    "InProgress": JobState.RUNNING,
    "Stopping": JobState.RUNNING,
    "Completed": JobState.DONE,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}


class SageMakerTarget:
    """SageMaker of one region.

    Args:
        region: of AWS; by default the configured one.
    """

    def __init__(self, region: str | None = None) -> None:
        self._region = region

    def describe_request(self, spec: JobSpec) -> dict[str, Any]:
        """Returns the exact requests of `submit` and what the job costs at most; nothing is sent."""
        return plan_training(spec).describe()

    def submit(self, spec: JobSpec) -> str:
        """Starts a training job, publishing its dataset before if S3 lacks it, and returns its name.

        Raises:
            InputError: if it cannot be sent, or a job of this name is there.
            CloudError: if AWS refuses it.
        """
        return self._send(plan_training(spec, ask=True))

    def submit_tuning(self, spec: JobSpec, config: TuningConfig, space: SearchSpace | None = None) -> str:
        """Starts a tuning job and returns its name; see `submit`."""
        return self._send(plan_tuning(spec, config, space, ask=True))

    def status(self, job_id: str) -> JobStatus:
        """Returns what a job is doing, with SageMaker's own word for the phase, and what it has cost."""
        return describe_job(self.describe(job_id), find_region(self._region))

    def logs(self, job_id: str, follow: bool, after_look: Callable[[], object] | None = None) -> Iterator[str]:
        """Yields the lines a job printed; with `follow`, those to come until it is over. They come seconds late."""
        self.describe(job_id)
        is_over = (lambda: self.status(job_id).state.is_over) if follow else None
        yield from read_lines(make_client("logs", self._region), job_id, is_over, after_look)

    def stop(self, job_id: str) -> None:
        """Asks a job to end: it gets two minutes, in which a training keeps a checkpoint and its results."""
        if self.status(job_id).state.is_over:
            return
        with translate_errors():
            self._client().stop_training_job(TrainingJobName=job_id)

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Brings a job's results into a new folder, checked; those of a stopped training are what there is.

        Raises:
            InputError: if the folder is there.
            JobError: if the job left nothing yet.
            TransferError: if what arrived is not what the job left.
        """
        return fetch_results(self.describe(job_id), folder, self._region)

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns one's own jobs, the newest first, or with `everyone` all that still cost, whoever started them."""
        wanted = [{"Name": "Tags.project", "Operator": "Equals", "Value": "roadsense"}]
        if everyone:
            wanted.append({"Name": "TrainingJobStatus", "Operator": "In", "Value": "InProgress,Stopping"})
        else:
            wanted.append({"Name": "Tags.roadsense:owner", "Operator": "Equals", "Value": find_owner()})
        region = find_region(self._region)
        with translate_errors():
            pages = self._client().get_paginator("search").paginate(
                Resource="TrainingJob", SearchExpression={"Filters": wanted}, SortBy="CreationTime",
                SortOrder="Descending",
            )  # fmt: skip
            found = [result["TrainingJob"] for page in pages for result in page["Results"]]
        jobs = [describe_job(job, region) for job in found]
        return sorted(jobs, key=lambda job: job.started or NOT_STARTED, reverse=True)

    def _send(self, plan: SageMakerPlan) -> str:
        if plan.local_dataset:
            publish_dataset(plan.local_dataset, plan.spec.output, plan.spec.region or self._region)
        send(plan.operation, plan.request, plan.spec.region or self._region)
        sys.stderr.write(f"{plan.spec.name}: {plan.tell_budget()}\n")
        return plan.spec.name or ""

    def _client(self) -> Any:
        return make_client("sagemaker", self._region)

    def describe(self, job_id: str) -> dict[str, Any]:
        """Returns a training job as SageMaker describes it."""
        job = _ask_for(lambda: self._client().describe_training_job(TrainingJobName=job_id))
        if job is None:
            raise InputError(f"Expected a training job, and SageMaker knows none named {job_id!r}.")
        return job


def _ask_for(describe: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Returns what SageMaker says of a job, or None if there is none."""
    try:
        with translate_errors():
            return describe()
    except CloudError as error:
        if error.code in MISSING_CODES and any(word in str(error).lower() for word in MISSING_WORDS):
            return None
        raise


def describe_job(job: dict[str, Any], region: str) -> JobStatus:
    """Returns the status of a training job as SageMaker describes it."""
    phase = job.get("SecondaryStatus", "")
    state = STATES[job["TrainingJobStatus"]]
    if state is JobState.RUNNING and phase in WAITING_PHASES:
        state = JobState.WAITING
    messages = [step.get("StatusMessage", "") for step in job.get("SecondaryStatusTransitions", [])]
    reason = job.get("FailureReason", "") or (messages[-1] if messages and state is JobState.STOPPED else "")
    return JobStatus(
        job_id=job["TrainingJobName"],
        name=job["TrainingJobName"],
        target="sagemaker",
        state=state,
        phase=phase or job["TrainingJobStatus"],
        reason=reason,
        started=_spell(job.get("TrainingStartTime")),
        ended=_spell(job.get("TrainingEndTime")),
        usd=_read_cost(job, region),
        output=f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}",
    )


def _read_cost(job: dict[str, Any], region: str) -> float | None:
    """Returns what a job has cost: AWS says the seconds it charges once a job is over."""
    price = list_price(job["ResourceConfig"]["InstanceType"], region, job.get("EnableManagedSpotTraining", False))
    if price is None:
        return None
    if job.get("BillableTimeInSeconds"):
        # Charged at the price on demand, for the seconds that are left after the saving.
        on_demand = list_price(job["ResourceConfig"]["InstanceType"], region)
        return job["BillableTimeInSeconds"] / 3600 * on_demand.usd_per_hour if on_demand else None
    start = job.get("TrainingStartTime")
    if start is None:
        return 0.0
    end = job.get("TrainingEndTime") or datetime.now(UTC)
    return max(0.0, (end - start).total_seconds()) / 3600 * price.usd_per_hour


def _spell(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
