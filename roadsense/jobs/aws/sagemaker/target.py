"""Jobs on SageMaker: trainings and searches, each identified by its name.

The typed layer of the `sagemaker` package starts jobs. boto3 reads their state: its import takes 0.2 s instead of 3 s,
and one process can ask every region.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roadsense.cloud.checksums import check_checksums
from roadsense.cloud.downloads import MODEL_ARCHIVE, unpack_archive
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.cloud.session import CloudError, find_owner, find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.jobs.aws.prices import list_price
from roadsense.jobs.aws.regions import list_everywhere
from roadsense.jobs.aws.sagemaker.logs import read_lines
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.aws.sagemaker.trials import find_best, read_trials
from roadsense.jobs.records import read_records
from roadsense.jobs.spec import CLOUD_NAME, JobSpec
from roadsense.jobs.target import JobError, JobState, JobStatus, Plan, UnknownJobError
from roadsense.utils.scratch import arriving, scratch_folder
from roadsense.utils.times import write_time

ARCHIVES = {MODEL_ARCHIVE: "model", "output.tar.gz": "output/data"}
"""The archives SageMaker makes from a job's folders, and their paths in our job folder."""
NOT_STARTED = "9999"
"""Start time of waiting jobs for sorting: the newest of all."""
MISSING_CODE, MISSING_WORDS = "ResourceNotFound", ("not found", "could not find")
"""SageMaker's code if there is no such search, and the words of its message if there is no such training."""
WAITING_PHASES = ("Starting", "Pending", "LaunchingMLInstances", "PreparingTrainingStack")
STATES = {
    "InProgress": JobState.RUNNING,
    "Stopping": JobState.RUNNING,
    "Completed": JobState.DONE,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}


class SageMakerTarget:
    """SageMaker in one region.

    Args:
        region: AWS region; by default the configured one.
    """

    def __init__(self, region: str | None = None) -> None:
        self._region = region

    def plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        """Returns the exact requests of `submit` and the job's highest cost; see `Target.plan`."""
        return plan_job(replace(spec, region=spec.region or self._region), ask)

    def submit(self, plan: Plan) -> str:
        """Publishes a job's dataset if it is not on S3, starts the job, and returns its name.

        Raises:
            InputError: if the `sagemaker` package is not installed.
            CloudError: if AWS refuses the job, for example because its name was used before.
        """
        region = plan.spec.region or self._region
        if plan.local_dataset:
            publish_dataset(plan.local_dataset, plan.spec.output, region)
        plan.request.send(region)
        sys.stderr.write(f"{plan.spec.name}: {plan.price}\n")
        return plan.job_id

    def status(self, job_id: str) -> JobStatus:
        """Returns a job's state, with SageMaker's own word for the phase, and its cost until now."""
        job = self._describe(job_id)
        return read_tuning(job) if _is_search(job) else read_training(job, find_region(self._region))

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines a job printed; with `follow`, until it is over. They arrive some seconds late.

        The log of a search has one line for each trial, the best first.
        """
        if _is_search(self._describe(job_id)):
            yield from (f"{trial.job} {trial.status} {trial.score}" for trial in read_trials(job_id, self._region))
            return
        is_over = (lambda: self.status(job_id).state.is_over) if follow else None
        yield from read_lines(make_client("logs", self._region), job_id, is_over)

    def stop(self, job_id: str) -> None:
        """Asks a job to stop: a training has two minutes to save a checkpoint and its results."""
        job, client = self._describe(job_id), make_client("sagemaker", self._region)
        with translate_errors():
            if _is_search(job):
                if not read_tuning(job).state.is_over:
                    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName=job_id)
            elif not STATES[job["TrainingJobStatus"]].is_over:
                client.stop_training_job(TrainingJobName=job_id)

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Downloads and checks a job's results in a new folder; a stopped training gives its results so far.

        A search gives the results of its best trial.

        Raises:
            InputError: if the folder exists.
            JobError: if the job has no results yet.
            TransferError: if a file is missing or damaged.
        """
        job = self._describe(job_id)
        if _is_search(job):
            job = self._describe(find_best(job_id, self._region).job)
        return self._fetch_results(job, folder)

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns your own jobs, the newest first; with `everyone`, all that cost money, of all users and regions."""
        if everyone:
            return list_everywhere(find_region(self._region), lambda region: _search(region, running=True))
        region = find_region(self._region)
        found = {job.name: job for job in _search(region, running=False)}
        for record in read_records():
            if record.target == "sagemaker" and record.name not in found:
                with suppress(UnknownJobError):  # another account's
                    found[record.name] = SageMakerTarget(record.region or region).status(record.name)
        return sorted(found.values(), key=lambda job: job.started or NOT_STARTED, reverse=True)

    def _fetch_results(self, job: dict[str, Any], folder: Path) -> Path:
        """Downloads all or nothing and compares every file with its checksum, unlike the SDK's download."""
        name, base = job["TrainingJobName"], job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        place = S3Place.parse(f"{base}/{name}/output")
        transfer = S3Transfer(place, self._region)
        there = {key: file for key, file in transfer.list_files().items() if key in ARCHIVES}
        if MODEL_ARCHIVE not in there:
            raise JobError(f"{name} has left no results yet: there is no {MODEL_ARCHIVE} at {place.url}.")
        with arriving(folder) as part, scratch_folder(".packed_", folder.parent) as packed:
            transfer.receive(there.values(), packed)
            for archive in there:
                unpack_archive(packed / archive, part / ARCHIVES[archive])
            check_checksums(part / ARCHIVES[MODEL_ARCHIVE])
        return folder

    def _describe(self, job_id: str) -> dict[str, Any]:
        client = make_client("sagemaker", self._region)
        for describe, key in (
            (client.describe_training_job, "TrainingJobName"),
            (client.describe_hyper_parameter_tuning_job, "HyperParameterTuningJobName"),
        ):
            try:
                with translate_errors():
                    return describe(**{key: job_id})
            except CloudError as error:
                if error.code != MISSING_CODE and not any(words in str(error).lower() for words in MISSING_WORDS):
                    raise
        raise UnknownJobError(f"Expected a training or a search, and SageMaker knows none named {job_id!r}.")


def _is_search(job: Mapping[str, Any]) -> bool:
    return "HyperParameterTuningJobName" in job


def read_training(job: Mapping[str, Any], region: str) -> JobStatus:
    """Returns a training's status from SageMaker's description."""
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
        phase=f"{phase or job['TrainingJobStatus']}, {region}",
        reason=reason,
        started=write_time(job.get("TrainingStartTime")),
        ended=write_time(job.get("TrainingEndTime")),
        usd=_read_cost(job, region),
        output=f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}",
    )


def read_tuning(job: Mapping[str, Any]) -> JobStatus:
    """Returns a search's status from SageMaker's description or list; its trials report their own costs."""
    counts = job.get("TrainingJobStatusCounters", {})
    n_over = sum(counts.get(name, 0) for name in ("Completed", "Stopped", "NonRetryableError"))
    return JobStatus(
        job_id=job["HyperParameterTuningJobName"],
        name=job["HyperParameterTuningJobName"],
        target="sagemaker",
        state=STATES.get(job["HyperParameterTuningJobStatus"], JobState.FAILED),
        phase=f"search, {n_over} trials over, {counts.get('InProgress', 0)} running",
        reason=job.get("FailureReason", ""),
        started=write_time(job.get("CreationTime")),
        ended=write_time(job.get("HyperParameterTuningEndTime")),
    )


def _search(region: str, running: bool) -> list[JobStatus]:
    """Returns trainings and searches in a region: the running ones of all users, or all your own."""
    client = make_client("sagemaker", region)
    wanted = [{"Name": "Tags.project", "Operator": "Equals", "Value": "roadsense"}]
    if running:
        wanted.append({"Name": "TrainingJobStatus", "Operator": "In", "Value": "InProgress,Stopping"})
    else:
        wanted.append({"Name": "Tags.roadsense:owner", "Operator": "Equals", "Value": find_owner()})
    with translate_errors():
        pages = client.get_paginator("search").paginate(
            Resource="TrainingJob", SearchExpression={"Filters": wanted}, SortBy="CreationTime", SortOrder="Descending",
        )  # fmt: skip
        trainings = [result["TrainingJob"] for page in pages for result in page["Results"]]
        pages = client.get_paginator("list_hyper_parameter_tuning_jobs").paginate(NameContains=CLOUD_NAME)
        searches = [each for page in pages for each in page["HyperParameterTuningJobSummaries"]]
    searches = [each for each in searches if each["HyperParameterTuningJobStatus"] in ("InProgress", "Stopping")]
    return [read_training(job, region) for job in trainings] + (
        [read_tuning(each) for each in searches] if running else []
    )


def _read_cost(job: Mapping[str, Any], region: str) -> float | None:
    """Returns a job's cost until now; for a job that is over, AWS gives the charged seconds, less spot's saving."""
    price = list_price(job["ResourceConfig"]["InstanceType"], region)
    start = job.get("TrainingStartTime")
    if price is None or start is None:
        return None if price is None else 0.0
    end = job.get("TrainingEndTime") or datetime.now(UTC)
    seconds = job.get("BillableTimeInSeconds") or max(0.0, (end - start).total_seconds())
    return seconds / 3600 * price.usd_per_hour
