"""The interface of every target: plan, submit, status, logs, stop, fetch, list."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.spec import JobSpec
from roadsense.utils.command import load_name

TARGETS = {
    "local": "roadsense.jobs.local.process:LocalTarget",
    "docker": "roadsense.jobs.local.container:DockerTarget",
    "ec2": "roadsense.jobs.aws.ec2.target:Ec2Target",
    "sagemaker": "roadsense.jobs.aws.sagemaker.target:SageMakerTarget",
}
"""`module:Class` of each target; the module is imported at first use. Each class takes `region`."""


class JobError(RoadSenseError):
    """Raised when a job fails, or a program or service that it needs fails."""


class UnknownJobError(InputError):
    """Raised when a target knows no such job."""


class JobState(StrEnum):
    """The state of a job, in the same words for every target."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self in (JobState.DONE, JobState.FAILED, JobState.STOPPED)


@dataclass(frozen=True)
class JobStatus:
    """The state of a job.

    Attributes:
        job_id: id of the job at its target.
        name: name of the job.
        target: target the job runs on.
        state: `waiting`, `running`, `done`, `failed` or `stopped`.
        phase: the target's own word, more detailed than `state`.
        reason: why the job failed or stopped; empty otherwise.
        started: date and time of the start, UTC, ISO 8601; empty before.
        ended: date and time of the end, UTC, ISO 8601; empty before.
        usd: cost until now, US dollars; None if there is no charge or it isn't known.
        output: folder or S3 URL of its results.
        was_interrupted: whether its machine was taken away; submit it again to resume.
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
    was_interrupted: bool = False


class UnansweredError(JobError):
    """Raised when a part of a target did not answer, such as a region; `found` is what the others listed."""

    def __init__(self, message: str, found: Sequence[JobStatus]):
        super().__init__(message)
        self.found = list(found)


@dataclass(frozen=True)
class Plan:
    """A job that is ready to be submitted: `submit` does exactly what `describe` shows.

    Attributes:
        spec: complete spec, with the dataset's URL on S3 and `max_hours` limited by `max_usd`.
        job_id: id of the job at its target.
        calls: the requests in their order, or the command, JSON-like.
        price: highest cost, in words.
        local_dataset: folder of a dataset that `submit` first publishes on S3; empty if there is none.
        request: the last of the calls, as its target on AWS sends it; None on this machine.
    """

    spec: JobSpec
    job_id: str
    calls: Sequence[Mapping[str, Any]]
    price: str = "nothing"
    local_dataset: str = ""
    request: Any = None

    def describe(self) -> dict[str, Any]:
        """Returns the price and every request."""
        return {"job": self.job_id, "price": self.price, "calls": list(self.calls)}


class Target(Protocol):
    """A system that runs jobs."""

    def plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        """Plans a job with a checked spec. Starts nothing; `ask` gets today's prices from AWS."""

    def submit(self, plan: Plan) -> str:
        """Starts a planned job and returns its id."""

    def status(self, job_id: str) -> JobStatus:
        """Returns the state of a job; `InputError` if there is no such job."""

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log without line ends; with `follow`, until the job is over."""

    def stop(self, job_id: str) -> None:
        """Asks a job to stop with a checkpoint; does nothing if the job is over."""

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Downloads a job's results into a new folder, checks their SHA-256 and returns the folder."""

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns your own jobs; with `everyone`, the jobs of all users that still cost money."""


def open_target(name: str, region: str | None = None) -> Target:
    """Returns a target by its name.

    Args:
        name: `local`, `docker`, `ec2` or `sagemaker`.
        region: AWS region, for the last two; None for the configured one.

    Raises:
        InputError: if there is no such target.
    """
    if name not in TARGETS:
        raise InputError(f"Expected a target of {', '.join(TARGETS)}, got {name!r}.")
    target: Target = load_name(TARGETS[name])(region=region)
    return target
