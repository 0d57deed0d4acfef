"""Processing jobs on SageMaker: looked at, listed, stopped; `generated.py` brings here what they made."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from roadsense.cloud.session import find_owner, translate_errors
from roadsense.jobs.cost import list_price
from roadsense.jobs.processing_request import NAME_START
from roadsense.jobs.target import JobState, JobStatus

STATES = {
    "InProgress": JobState.RUNNING,
    "Stopping": JobState.RUNNING,
    "Completed": JobState.DONE,
    "Failed": JobState.FAILED,
    "Stopped": JobState.STOPPED,
}
COSTING = ("InProgress", "Stopping")
MOST_LISTED = 100
"""So many of the newest Processing jobs are looked through for one's own: each is asked for its tags."""


def is_processing(job: dict[str, Any]) -> bool:
    """Returns whether a job, as SageMaker describes it, is a Processing job."""
    return "ProcessingJobName" in job


def describe_processing(job: dict[str, Any], region: str) -> JobStatus:
    """Returns the status of a Processing job as SageMaker describes it."""
    state = STATES[job["ProcessingJobStatus"]]
    if state is JobState.RUNNING and not job.get("ProcessingStartTime"):
        state = JobState.WAITING
    reasons = [job.get("ExitMessage", "").strip(), job.get("FailureReason", "").strip()]
    return JobStatus(
        job_id=job["ProcessingJobName"],
        name=job["ProcessingJobName"],
        target="sagemaker",
        state=state,
        phase=job["ProcessingJobStatus"],
        reason=" ".join(" ".join(filter(None, reasons)).split()),
        started=_spell(job.get("ProcessingStartTime")),
        ended=_spell(job.get("ProcessingEndTime")),
        usd=_read_cost(job, region),
        output=find_output(job),
    )


def find_output(job: dict[str, Any]) -> str:
    """Returns where a Processing job leaves what it made."""
    outputs = job.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs[0]["S3Output"]["S3Uri"].rstrip("/") if outputs else ""


def list_processing(client: Any, region: str, everyone: bool) -> list[JobStatus]:
    """Returns one's own Processing jobs of RoadSense, the newest first, or all that still cost.

    Args:
        client: of SageMaker.
        region: of AWS.
        everyone: whether all that still cost are asked for, whoever started them.
    """
    wanted = {"project": "roadsense"} if everyone else {"project": "roadsense", "roadsense:owner": find_owner()}
    found = []
    with translate_errors():
        for summary in _list_newest(client, everyone):
            tags = client.list_tags(ResourceArn=summary["ProcessingJobArn"])["Tags"]
            if wanted.items() <= {tag["Key"]: tag["Value"] for tag in tags}.items():
                found.append(client.describe_processing_job(ProcessingJobName=summary["ProcessingJobName"]))
    return [describe_processing(job, region) for job in found]


def _list_newest(client: Any, everyone: bool) -> Iterator[dict[str, Any]]:
    for status in COSTING if everyone else (None,):
        chosen = {"StatusEquals": status} if status else {}
        pages = client.get_paginator("list_processing_jobs").paginate(
            NameContains=NAME_START, SortBy="CreationTime", SortOrder="Descending",
            PaginationConfig={"MaxItems": None if everyone else MOST_LISTED}, **chosen,
        )  # fmt: skip
        for page in pages:
            rows = (row for row in page["ProcessingJobSummaries"] if row["ProcessingJobName"].startswith(NAME_START))
            yield from rows


def _read_cost(job: dict[str, Any], region: str) -> float | None:
    """Returns what a job has cost: each of its machines, from its start to its end."""
    cluster = job["ProcessingResources"]["ClusterConfig"]
    price = list_price(cluster["InstanceType"], region)
    if price is None:
        return None
    start = job.get("ProcessingStartTime")
    if start is None:
        return 0.0
    end = job.get("ProcessingEndTime") or datetime.now(UTC)
    return cluster["InstanceCount"] * max(0.0, (end - start).total_seconds()) / 3600 * price.usd_per_hour


def _spell(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""
