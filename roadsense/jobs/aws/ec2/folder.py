"""A job's folder in S3: its spec, the files its machines wrote, its final state and its results."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from roadsense.cloud.checksums import CHECKSUMS_NAME, TransferError, check_checksums
from roadsense.cloud.downloads import download
from roadsense.cloud.s3_transfer import S3Place
from roadsense.cloud.session import make_client, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.aws.prices import cost_so_far
from roadsense.jobs.spec import JobSpec, spec_from_values
from roadsense.jobs.target import JobError, JobState, JobStatus
from roadsense.utils.files import read_json, write_atomically
from roadsense.utils.scratch import arriving
from roadsense.utils.times import write_time

SPEC_NAME, LOG_NAME = "spec.json", "run.log"
SAME = ("notebook_name", "parameters", "dataset")
"""Fields of a spec that identify a job: a machine resumes it only if these are the same."""
EXIT_REASONS = {
    "90": "the machine could not be set up",
    "91": "the dataset could not be downloaded",
    "92": "the registry refused the machine",
    "93": "the image could not be pulled",
    "94": "the checkpoints could not be downloaded",
    "96": "not all results could be uploaded before the machine's limit",
}
"""Meaning of the machine's own exit codes, if it could not write a reason."""
TAKEN_AWAY = "its machine was taken away before it had uploaded everything"
SPOT_REASON, ASKED = "spot interruption", "it was asked to stop"
STOP_REQUESTS = "stop_requests"
"""Folder with an empty file for each machine that was ended on request."""
NEW_S = 300.0
"""Longest time until a new machine has begun, seconds: EC2 may take some of it to list the machine."""
MAX_REASON = 1024


@dataclass(frozen=True)
class Attempt:
    """A machine that began to work on a job.

    Attributes:
        started: start time, with time zone.
        ended: time when its results were uploaded; None if they were not.
        usd_per_hour: price of the machine, US dollars an hour; None if it isn't known.
        instance_id: id of the machine.
    """

    started: datetime
    ended: datetime | None
    usd_per_hour: float | None
    instance_id: str

    @property
    def usd(self) -> float | None:
        """Cost of the machine, US dollars; None while it isn't known."""
        if self.ended is None or self.usd_per_hour is None:
            return None
        return cost_so_far(self.started, self.usd_per_hour, self.ended)


@dataclass(frozen=True)
class JobFolder:
    """The folder `s3://bucket/prefix/jobs/<name>`.

    Attributes:
        url: S3 URL of the folder.
        region: AWS region.
    """

    url: str
    region: str

    @property
    def name(self) -> str:
        """The job's name."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    @cached_property
    def _client(self) -> Any:
        return make_client("s3", self.region)

    @cached_property
    def _place(self) -> S3Place:
        return S3Place.parse(self.url)

    def read_spec(self) -> JobSpec | None:
        """Returns the job's spec, or None if there is no such job."""
        text = self.read_text(SPEC_NAME)
        return None if text is None else spec_from_values(json.loads(text), f"{self.url}/{SPEC_NAME}")

    def write_spec(self, spec: JobSpec) -> None:
        """Writes the job's spec."""
        self.write(SPEC_NAME, (json.dumps(asdict(spec), indent=2) + "\n").encode())

    def check_is_same(self, earlier: JobSpec, spec: JobSpec) -> None:
        """Checks that a spec resumes the job in this folder.

        Raises:
            InputError: naming the first field that differs.
        """
        for name in SAME:
            before, now = (json.loads(json.dumps(getattr(each, name), default=dict)) for each in (earlier, spec))
            if before != now:
                raise InputError(
                    f"Expected a new name, since {self.url} is a job with another {name} ({before!r}, now {now!r}). "
                    "Under the same name and with the same settings a job is resumed."
                )

    def read_attempts(self) -> list[Attempt]:
        """Returns the machines that worked on the job, the first one first."""
        prefix = self._place.key("attempts/")
        with translate_errors():
            answer = self._client.list_objects_v2(Bucket=self._place.bucket, Prefix=prefix)
        texts = [self.read_text(f"attempts/{item['Key'].removeprefix(prefix)}") for item in answer.get("Contents", [])]
        return sorted((_parse_attempt(text) for text in texts if text), key=lambda attempt: attempt.started)

    def read_status(self) -> JobStatus:
        """Returns how the job ended, when none of its machines is left.

        A machine writes its end after everything else. If it began and never wrote an end, it was taken away; its last
        uploaded checkpoint is at most a minute old.
        """
        attempts = self.read_attempts()
        state, reason = self._read_outcome(attempts)
        costs = [attempt.usd for attempt in attempts if attempt.usd is not None]
        return JobStatus(
            job_id=self.url,
            name=self.name,
            target="ec2",
            state=state,
            phase=f"{len(attempts)} machine{'' if len(attempts) == 1 else 's'}",
            reason=reason,
            started=write_time(attempts[0].started) if attempts else "",
            ended=write_time(attempts[-1].ended) if attempts else "",
            usd=sum(costs) if costs else None,
            output=self.url,
            was_interrupted=state is JobState.STOPPED and reason in (TAKEN_AWAY, SPOT_REASON),
        )

    def _read_outcome(self, attempts: list[Attempt]) -> tuple[JobState, str]:
        submitted = self._find_time(SPEC_NAME)
        is_new = submitted is not None and (datetime.now(UTC) - submitted).total_seconds() < NEW_S
        if submitted is not None and is_new and not any(attempt.started >= submitted for attempt in attempts):
            return JobState.WAITING, "no machine has begun to work on it"
        if not attempts:
            return JobState.STOPPED, "no machine has begun to work on it"
        code = self.read_text("exit_code")
        if attempts[-1].ended is None or code is None:
            is_asked = self.read_text(f"{STOP_REQUESTS}/{attempts[-1].instance_id}") is not None
            return JobState.STOPPED, ASKED if is_asked else TAKEN_AWAY
        stopped = self.read_text("stopped")
        if code == "0":
            return (JobState.STOPPED if stopped else JobState.DONE), stopped or ""
        reason = self.read_text("output/failure") or EXIT_REASONS.get(code, "it gave no reason")
        return JobState.FAILED, f"exit code {code}: {reason[-MAX_REASON:]}"

    def fetch(self, folder: Path) -> Path:
        """Downloads the results of the job's last machine into a new folder, completely or not at all.

        Raises:
            InputError: if the folder exists.
            JobError: if there are no results yet.
            TransferError: if a file is missing or damaged.
        """
        sums = self.read_text(CHECKSUMS_NAME)
        if sums is None:
            raise JobError(f"{self.url} has no results yet: a job's machine writes {CHECKSUMS_NAME} when it ends.")
        with arriving(folder) as part:
            write_atomically(part / CHECKSUMS_NAME, sums + "\n")
            names = read_json(part / CHECKSUMS_NAME, "the sums of a job's files", TransferError)
            download(self._place, part, names, self.region)
            check_checksums(part)
        return folder

    def read_text(self, name: str) -> str | None:
        """Returns the content of a small file, without space at its ends, or None if there is no such file."""
        data = self.read(name, 0)
        return None if data is None else data.decode(errors="replace").strip()

    def read(self, name: str, offset: int) -> bytes | None:
        """Returns a file's content from an offset on, empty if it isn't longer, or None if there is no such file."""
        bucket, key = self._place.bucket, self._place.key(name)
        found = self._look(key)
        if found is None or found["Size"] <= offset:
            return None if found is None else b""
        with translate_errors():
            return self._client.get_object(Bucket=bucket, Key=key, Range=f"bytes={offset}-")["Body"].read()

    def has_new_log(self) -> bool:
        """Returns whether the log is that of the last machine, and not of an earlier one."""
        submitted, written = self._find_time(SPEC_NAME), self._find_time(LOG_NAME)
        return submitted is not None and written is not None and written >= submitted

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        with translate_errors():
            self._client.put_object(Bucket=self._place.bucket, Key=self._place.key(name), Body=content)

    def _find_time(self, name: str) -> datetime | None:
        found = self._look(self._place.key(name))
        return found["LastModified"] if found else None

    def _look(self, key: str) -> dict[str, Any] | None:
        """Returns size and time of a file; the bucket is listed, because S3 says 403 for a missing file.

        It says 404 only to those who may list the whole bucket, and the policies in `infra/iam` allow our prefix.
        """
        with translate_errors():
            answer = self._client.list_objects_v2(Bucket=self._place.bucket, Prefix=key, MaxKeys=1)
        return next((item for item in answer.get("Contents", []) if item["Key"] == key), None)


def _parse_attempt(text: str) -> Attempt:
    """Reads a machine's record: start time, end time or `-`, USD an hour or nothing, and its id."""
    words = text.split(" ")
    started, ended, usd, instance_id = [*words, "", "", "", ""][:4]
    return Attempt(
        started=datetime.fromisoformat(started),
        ended=None if ended in ("-", "") else datetime.fromisoformat(ended),
        usd_per_hour=float(usd) if usd else None,
        instance_id=instance_id,
    )
