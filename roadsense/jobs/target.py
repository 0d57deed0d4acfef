"""What every place a job can run at offers: submit, look, stop, fetch."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.spec import JobSpec

TARGETS = {
    "local": "roadsense.jobs.local:LocalTarget",
    "docker": "roadsense.jobs.docker:DockerTarget",
    "ec2": "roadsense.jobs.ec2:Ec2Target",
    "sagemaker": "roadsense.jobs.sagemaker:SageMakerTarget",
}
"""Where the class of each target is; its module is imported when it is asked for. Each takes `region`."""


class JobError(RoadSenseError):
    """Raised when a job failed, or something a job needs did not answer as expected."""


class JobState(StrEnum):
    """What a job is doing, the same words for every target."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self in (JobState.DONE, JobState.FAILED, JobState.STOPPED)


@dataclass(frozen=True)
class JobStatus:
    """A job as its target sees it now.

    Attributes:
        job_id: what the target knows it by.
        name: of the job.
        target: where it runs.
        state: what it is doing.
        phase: the target's own word for it, finer than `state`.
        reason: why it failed or stopped; empty otherwise.
        started: date and time in UTC, ISO 8601; empty before.
        ended: as `started`; empty before.
        usd: what it has cost until now, US dollars; None where nothing is charged or it isn't known.
        output: folder or S3 URL of its results.
    """

    job_id: str
    name: str
    target: str
    state: JobState
    phase: str = ""
    reason: str = ""
    started: str = ""
    ended: str = ""
    usd: float | None = None
    output: str = ""


class Target(Protocol):
    """A place where jobs run."""

    def describe_request(self, spec: JobSpec) -> dict[str, Any]:
        """Returns the exact requests `submit` would make, as JSON-like values; nothing is sent."""

    def submit(self, spec: JobSpec) -> str:
        """Starts a job whose spec was checked and returns its id."""

    def status(self, job_id: str) -> JobStatus:
        """Returns what a job is doing; `InputError` if there is no such job."""

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log without their line ends; with `follow`, until the job is over."""

    def stop(self, job_id: str) -> None:
        """Asks a job to stop, which keeps a checkpoint; does nothing if it is over."""

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Brings a job's results into a new folder, checks their SHA-256 and returns the folder."""

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns one's own jobs, or with `everyone` all that still cost, whoever started them."""


def open_target(name: str, region: str | None = None) -> Target:
    """Returns a target by its name.

    Args:
        name: `local`, `docker`, `ec2` or `sagemaker`.
        region: of AWS, for the last two; None for the configured one.

    Raises:
        InputError: if there is no such target.
    """
    if name not in TARGETS:
        raise InputError(f"Expected a target of {', '.join(TARGETS)}, got {name!r}.")
    path, kind = TARGETS[name].split(":")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name != path:
            raise
        raise InputError(f"This version of RoadSense has no target {name}.") from error
    return getattr(module, kind)(region=region)
