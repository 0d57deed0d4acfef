"""What this working folder remembers of the jobs it submitted: enough to find each of them again by its name."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.spec import JobSpec, spec_from_values
from roadsense.utils.files import write_atomically

RECORDS_DIR = Path("runs") / "jobs"
RECORD_NAME = "job.json"


@dataclass(frozen=True)
class JobRecord:
    """A job that was submitted from here.

    Attributes:
        name: of the job.
        job_id: what its target knows it by.
        target: where it runs.
        region: of AWS it was submitted to; None for the configured one.
        output: folder or S3 URL of its results.
    """

    name: str
    job_id: str
    target: str
    region: str | None = None
    output: str = ""


def write_record(spec: JobSpec, job_id: str) -> Path:
    """Remembers a job that was just submitted; returns the file."""
    record = JobRecord(spec.name or "", job_id, spec.target, spec.region, spec.output)
    path = RECORDS_DIR / record.name / RECORD_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({**asdict(record), "spec": asdict(spec)}, indent=2) + "\n")
    return path


def read_records() -> list[JobRecord]:
    """Returns all jobs remembered here, the oldest first."""
    paths = sorted(RECORDS_DIR.glob(f"*/{RECORD_NAME}"), key=lambda path: path.stat().st_mtime)
    return [_read(path) for path in paths]


def find_record(job: str, target: str | None = None, region: str | None = None) -> JobRecord:
    """Returns the job of a name or an id.

    Args:
        job: its name, its id, or its folder.
        target: where it runs; needed for a job that was not submitted from here.
        region: of AWS, instead of the one remembered.

    Raises:
        InputError: if it isn't remembered and no target was given.
    """
    records = read_records()
    found = [each for each in records if job in (each.name, each.job_id) or Path(job) == RECORDS_DIR / each.name]
    if found and target in (None, found[-1].target):
        record = found[-1]
        return record if region is None else JobRecord(**{**asdict(record), "region": region})
    if target is None:
        known = ", ".join(each.name for each in records[-5:]) or "none"
        raise InputError(
            f"Expected a job that was submitted from here (the latest: {known}), got {job!r}. "
            "For another, say where it runs: --target."
        )
    return JobRecord(job, job, target, region)


def read_submitted_spec(record: JobRecord) -> JobSpec:
    """Returns the spec a job was submitted with.

    Raises:
        InputError: if it was not submitted from here.
    """
    path = RECORDS_DIR / record.name / RECORD_NAME
    if not path.is_file():
        raise InputError(f"Expected a job that was submitted from here, but {record.name} is not remembered.")
    return spec_from_values(json.loads(path.read_text())["spec"], str(path))


def _read(path: Path) -> JobRecord:
    values: dict[str, Any] = json.loads(path.read_text())
    return JobRecord(**{each.name: values[each.name] for each in fields(JobRecord) if each.name in values})
