"""A job's place in S3: what it was asked to do, what its machines wrote there, and how it ended."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.launch import parse_time
from roadsense.jobs.spec import JobSpec, spec_from_values

MISSING_CODES = ("NoSuchKey", "404", "NotFound")
SPEC_NAME = "spec.json"
SAME = ("notebook_name", "parameters", "dataset")
"""Fields of a spec that make a job what it is: it can be gone on with on another machine, but not with others."""


@dataclass(frozen=True)
class Attempt:
    """A machine that began to work on a job.

    Attributes:
        started: when, with its time zone.
        ended: when its results were up; None if they never were, or aren't yet.
        usd_per_hour: what it costs, US dollars; None if that isn't known.
        instance_id: of the machine.
    """

    started: datetime
    ended: datetime | None
    usd_per_hour: float | None
    instance_id: str

    @property
    def usd(self) -> float | None:
        """What it has cost, US dollars; None while it isn't known."""
        if self.ended is None or self.usd_per_hour is None:
            return None
        return (self.ended - self.started).total_seconds() / 3600.0 * self.usd_per_hour


@dataclass(frozen=True)
class JobPlace:
    """The folder `s3://bucket/prefix/jobs/<name>`.

    Attributes:
        url: the folder.
        region: of AWS.
    """

    url: str
    region: str

    @property
    def name(self) -> str:
        """The job's name."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    @cached_property
    def client(self) -> Any:
        """A client for S3."""
        return make_client("s3", self.region)

    def read_spec(self) -> JobSpec | None:
        """Returns what the job was asked to do, or None if no job was put here."""
        text = self.read_text(SPEC_NAME)
        return None if text is None else spec_from_values(json.loads(text), f"{self.url}/{SPEC_NAME}")

    def write_spec(self, spec: JobSpec) -> None:
        """Writes what the job is asked to do."""
        self.write(SPEC_NAME, (json.dumps(asdict(spec), indent=2) + "\n").encode())

    def check_is_same(self, earlier: JobSpec, spec: JobSpec) -> None:
        """Checks that a spec goes on with the job that is here.

        Raises:
            InputError: naming the first field that would make it another job.
        """
        for name in SAME:
            before, now = (json.loads(json.dumps(getattr(each, name), default=dict)) for each in (earlier, spec))
            if before != now:
                raise InputError(
                    f"Expected a new name, since {self.url} is a job with another {name} ({before!r}, now {now!r}). "
                    "Under the same name and with the same settings a job is gone on with."
                )

    def read_attempts(self) -> list[Attempt]:
        """Returns the machines that worked on the job, the first one first."""
        bucket, prefix = split_url(f"{self.url}/attempts/")
        with translate_errors():
            found = self.client.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        texts = [self.read_text(item["Key"][len(prefix) - len("attempts/") :]) for item in found]
        return sorted((parse_attempt(text) for text in texts if text), key=lambda attempt: attempt.started)

    def read_text(self, name: str) -> str | None:
        """Returns the beginning of a small file here, without space at its ends, or None if it isn't there."""
        data = self.read(name, 0)
        return None if data is None else data.decode(errors="replace").strip()

    def read(self, name: str, offset: int) -> bytes | None:
        """Returns a file's content from an offset on, empty if it isn't longer, or None if there is no such file."""
        bucket, key = split_url(f"{self.url}/{name}")
        with translate_errors():
            size = self._find_size(bucket, key)
            if size is None or size <= offset:
                return None if size is None else b""
            return self.client.get_object(Bucket=bucket, Key=key, Range=f"bytes={offset}-")["Body"].read()

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file."""
        bucket, key = split_url(f"{self.url}/{name}")
        with translate_errors():
            self.client.put_object(Bucket=bucket, Key=key, Body=content)

    def _find_size(self, bucket: str, key: str) -> int | None:
        try:
            with translate_errors():
                return int(self.client.head_object(Bucket=bucket, Key=key)["ContentLength"])
        except CloudError as error:
            if error.code in MISSING_CODES:
                return None
            raise


def place_of(spec: JobSpec, region: str) -> JobPlace:
    """Returns the place of a job that has a name."""
    return JobPlace(f"{spec.output.rstrip('/')}/jobs/{spec.name}", region)


def parse_attempt(text: str) -> Attempt:
    """Reads what a machine wrote: when it started, when it ended or `-`, USD an hour or nothing, and its id."""
    words = text.split(" ")
    started, ended, usd, instance_id = [*words, "", "", "", ""][:4]
    return Attempt(
        parse_time(started),
        None if ended in ("-", "") else parse_time(ended),
        float(usd) if usd else None,
        instance_id,
    )


def split_url(url: str) -> tuple[str, str]:
    """Splits `s3://bucket/key` into bucket and key.

    Raises:
        InputError: for anything else.
    """
    bucket, _, key = url.removeprefix("s3://").partition("/")
    if not url.startswith("s3://") or not bucket or not key:
        raise InputError(f"Expected s3://bucket/prefix, got {url!r}.")
    return bucket, key
