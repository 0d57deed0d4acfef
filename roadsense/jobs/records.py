"""Records the jobs submitted from this folder, so that each can be found by its name."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from roadsense.cloud.session import CloudError
from roadsense.errors import InputError
from roadsense.jobs.spec import JobSpec, spec_from_values
from roadsense.utils.files import read_json, write_atomically

RECORDS_DIR = Path("runs") / "jobs"
RECORD_NAME = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """A submitted job.

    Attributes:
        name: name of the job.
        job_id: id of the job at its target.
        target: target the job runs on.
        region: AWS region it was submitted to; None for the configured one.
    """

    name: str
    job_id: str
    target: str
    region: str | None = None


def write_record(spec: JobSpec, job_id: str, request: Mapping[str, Any] | None = None) -> None:
    """Records a job with its spec and its exact request."""
    record = JobRecord(spec.name or "", job_id, spec.target, spec.region)
    path = record_path(record.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {**asdict(record), "spec": asdict(spec), "request": request}
    write_atomically(path, json.dumps(content, indent=2, default=str) + "\n")


@contextmanager
def recording(spec: JobSpec, job_id: str, request: Mapping[str, Any]) -> Iterator[None]:
    """Records a job before the block that starts it; if the start is refused, the record is again what it was before.

    It stays if AWS gave no answer, because the job may have started.
    """
    path = record_path(spec.name or "")
    earlier = path.read_text() if path.exists() else None
    write_record(spec, job_id, request)
    try:
        yield
    except (InputError, CloudError) as error:
        if isinstance(error, CloudError) and not error.code:
            raise
        if earlier is None:
            path.unlink()
        else:
            write_atomically(path, earlier)
        raise


def record_path(name: str) -> Path:
    """Returns the file with the record of a job."""
    return RECORDS_DIR / name / RECORD_NAME


def read_records() -> list[JobRecord]:
    """Returns all recorded jobs, the oldest first."""
    paths = sorted(RECORDS_DIR.glob(f"*/{RECORD_NAME}"), key=lambda path: path.stat().st_mtime)
    found = [read_json(path, "the record of a job", name=str, job_id=str, target=str) for path in paths]
    return [JobRecord(each["name"], each["job_id"], each["target"], each.get("region")) for each in found]


def find_record(job: str, target: str | None = None, region: str | None = None) -> JobRecord:
    """Returns the record of a job.

    Args:
        job: name, id or folder of the job.
        target: target the job runs on; needed for a job that was not submitted from this folder.
        region: AWS region, instead of the recorded one.

    Raises:
        InputError: if the job has no record and no target was given.
    """
    records = read_records()
    found = [each for each in records if job in (each.name, each.job_id) or Path(job) == RECORDS_DIR / each.name]
    if found and target in (None, found[-1].target):
        return replace(found[-1], region=region or found[-1].region)
    if target is None:
        known = ", ".join(each.name for each in records[-5:]) or "none"
        raise InputError(
            f"Expected a job that was submitted from this folder (the latest: {known}), got {job!r}. "
            "For another one, give --target."
        )
    return JobRecord(job, job, target, region)


def read_submitted_spec(record: JobRecord) -> JobSpec:
    """Returns the spec of a submitted job.

    Raises:
        InputError: if the job was not submitted from this folder.
    """
    path = record_path(record.name)
    if not path.is_file():
        raise InputError(f"Expected a job that was submitted from this folder, but {record.name} has no record here.")
    return spec_from_values(read_json(path, "the record of a job", spec=dict)["spec"], str(path))
