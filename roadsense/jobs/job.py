"""A job as an object: submit it or find it again, follow it, stop it, fetch what it made."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from roadsense.jobs.records import JobRecord, find_record, write_record
from roadsense.jobs.spec import JobSpec, check_spec
from roadsense.jobs.target import JobStatus, Target, open_target

LOOK_EVERY_S = 1.0


@dataclass(frozen=True)
class Job:
    """A job that was submitted.

    Attributes:
        record: its name, target and id.

    Example:
        >>> import roadsense as rs
        >>> job = rs.Job.submit(rs.JobSpec("notebooks/hello.ipynb", {"words": "hello"}))
        >>> str(job.wait().state)
        'done'
        >>> rs.Job.find(job.record.name) == job
        True
    """

    record: JobRecord

    @classmethod
    def submit(cls, spec: JobSpec) -> "Job":
        """Checks a spec, starts it as a job, and returns the job.

        Raises:
            InputError: naming the field or the parameter that cannot be used; nothing was started.
            DatasetError: if the dataset is not what its manifest says.
        """
        spec = check_spec(spec)
        write_record(spec, open_target(spec.target, spec.region).submit(spec))
        return cls.find(spec.name or "")

    @classmethod
    def find(cls, name: str, target: str | None = None, region: str | None = None) -> "Job":
        """Returns the job of a name or an id; `target` is needed if it was submitted elsewhere.

        Raises:
            InputError: if there is none.
        """
        return cls(find_record(name, target, region))

    def read_status(self) -> JobStatus:
        """Returns what the job is doing now."""
        return self._target.status(self.record.job_id)

    def wait(self) -> JobStatus:
        """Waits until the job is over; returns how it ended."""
        while not (status := self.read_status()).state.is_over:
            time.sleep(LOOK_EVERY_S)
        return status

    def follow(self) -> JobStatus:
        """Prints the job's log until it is over; returns how it ended."""
        for line in self._target.logs(self.record.job_id, follow=True):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
        return self.read_status()

    def stop(self) -> None:
        """Asks the job to stop; a training keeps a checkpoint."""
        self._target.stop(self.record.job_id)

    def fetch(self, folder: str | Path | None = None) -> Path:
        """Downloads the results, checks every file, and returns their folder, by default `runs/<name>`."""
        return self._target.fetch(self.record.job_id, Path(folder or Path("runs") / self.record.name))

    @property
    def _target(self) -> Target:
        return open_target(self.record.target, self.record.region)
