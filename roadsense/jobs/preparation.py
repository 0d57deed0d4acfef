"""A job before it is submitted: what it will be, and what is missing for it, said in sentences. Nothing is sent."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.cloud.session import UnreachableError, find_region, translate_errors
from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.records import write_record
from roadsense.jobs.sagemaker_place import find_execution_role
from roadsense.jobs.spec import JobSpec, check_spec, spec_from_values
from roadsense.jobs.target import JobState, JobStatus, Target, open_target

EXAMPLE_REGION = "eu-central-1"
EXAMPLES: Mapping[str, str] = {
    "output": "s3://your-bucket/roadsense",
    "image": f"123456789012.dkr.ecr.{EXAMPLE_REGION}.amazonaws.com/roadsense:your-tag",
}
"""What stands for a setting of yours in a dry run, so that there is a request to look at."""
EXAMPLE_ROLE = "arn:aws:iam::123456789012:role/your-execution-role"
WHERE_FROM: Mapping[str, str] = {
    "role": "the ARN of an execution role, by this parameter or ROADSENSE_SAGEMAKER_ROLE; Studio has one of its own",
    "output": "a bucket of yours and a prefix in it, where datasets and results go",
    "image": "the image's address in your ECR; `roadsense job image` builds and pushes one",
    "region": "a region of AWS, by this parameter or AWS_REGION",
    "dataset": "the folder of a dataset; notebook 00_augment makes one",
}


@dataclass(frozen=True)
class Preparation:
    """A job that is ready, or what it lacks.

    Attributes:
        spec: checked; examples stand for what is missing.
        missing: a sentence for each thing.
        request: the exact requests its submission makes, JSON-like.
    """

    spec: JobSpec
    missing: tuple[str, ...]
    request: Mapping[str, Any]


def prepare_job(values: Mapping[str, Any]) -> Preparation:
    """Checks a job and says what is missing for it.

    Args:
        values: fields of `JobSpec`; an empty text or None is a field that isn't given.

    Raises:
        InputError: if what is given cannot be used.
    """
    given = {name: value for name, value in values.items() if value not in ("", None)}
    absent = []
    if given.get("target") in ("ec2", "sagemaker"):
        absent = [name for name in EXAMPLES if name not in given]
        given = {**EXAMPLES, **given}
        if not _has_region(given.get("region")):
            absent.append("region")
            given["region"] = EXAMPLE_REGION
        if given["target"] == "sagemaker" and not _has_role(given):
            absent.append("role")
            given["role"] = EXAMPLE_ROLE
    given, is_lacking = _leave_out_dataset(given)
    spec = check_spec(spec_from_values(given, "the notebook's parameters"))
    sentences = [f"{name}: {WHERE_FROM[name]}." for name in absent + (["dataset"] if is_lacking else [])]
    if spec.is_cloud:
        sentences += _find_missing_credentials()
    return Preparation(spec, tuple(sentences), open_target(spec.target, spec.region).describe_request(spec))


def submit_prepared(prepared: Preparation) -> str:
    """Submits a job that lacks nothing, remembers it for `roadsense job`, and returns its id.

    Raises:
        InputError: naming what is missing.
    """
    if prepared.missing:
        raise InputError(f"Expected a job that lacks nothing. Missing: {' '.join(prepared.missing)}")
    job_id = _target(prepared).submit(prepared.spec)
    write_record(prepared.spec, job_id)
    return job_id


def follow_job(prepared: Preparation, job_id: str) -> JobStatus:
    """Prints a job's log until it is over, and returns how it ended."""
    target = _target(prepared)
    for line in target.logs(job_id, follow=True):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return target.status(job_id)


def fetch_job(prepared: Preparation, job_id: str) -> Path:
    """Brings a job's results to `runs/<name>`, checks every file, and returns the folder of what it made.

    Raises:
        RoadSenseError: if the job failed, with its reason; its results are fetched all the same.
    """
    target = _target(prepared)
    folder = target.fetch(job_id, Path("runs") / str(prepared.spec.name))
    status = target.status(job_id)
    if status.state == JobState.FAILED:
        raise RoadSenseError(f"The job failed: {status.reason} What it left is in {folder}.")
    return folder / "model"


def summarise_request(prepared: Preparation) -> dict[str, Any]:
    """Returns the requests with the long texts in them cut, to be looked at."""
    return _cut(dict(prepared.request))


def _target(prepared: Preparation) -> Target:
    return open_target(prepared.spec.target, prepared.spec.region)


def _has_region(region: str | None) -> bool:
    try:
        find_region(region)
    except InputError:
        if region:
            raise
        return False
    return True


def _has_role(given: Mapping[str, Any]) -> bool:
    try:
        return bool(find_execution_role(given.get("role"), given["region"]))
    except (InputError, UnreachableError):
        return False


def _leave_out_dataset(given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Returns the fields without a dataset that isn't there; one that is there and wrong is left to the check."""
    dataset = str(given.get("dataset", ""))
    is_lacking = bool(dataset) and not dataset.startswith("s3://") and not Path(dataset).exists()
    return ({name: value for name, value in given.items() if name != "dataset"} if is_lacking else given), is_lacking


def _find_missing_credentials() -> list[str]:
    try:
        with translate_errors():
            import boto3

            found = boto3.Session().get_credentials()
    except RoadSenseError as error:
        return [str(error)]
    if found is None:
        return [
            "credentials: for AWS, by `aws sso login`, a profile or the environment; `roadsense job doctor` checks."
        ]
    return []


def _cut(value: Any, length: int = 60) -> Any:
    if isinstance(value, Mapping):
        return {name: _cut(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cut(item) for item in value]
    is_long = isinstance(value, str | bytes) and len(value) > length
    return f"{str(value)[:length]}... ({len(value)} characters)" if is_long else value
