"""How a job on EC2 ended, and its results brought here."""

import json
from dataclasses import dataclass
from pathlib import Path

from roadsense.cloud.checksums import CHECKSUMS_NAME, TransferError, check_checksums
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.jobs.ec2_place import Attempt, JobPlace
from roadsense.jobs.target import JobError, JobState
from roadsense.utils.files import refuse_existing, write_atomically
from roadsense.utils.scratch import scratch_folder

EXIT_REASONS = {
    "90": "the machine could not be set up",
    "91": "the dataset could not be read",
    "92": "the registry refused the machine",
    "93": "the image could not be pulled",
    "94": "the checkpoints could not be read",
}
"""What the machine's own exit codes mean, where it could not leave a reason."""
MAX_REASON = 1024


@dataclass(frozen=True)
class Outcome:
    """How a job's last machine left it.

    Attributes:
        state: done, failed or stopped; waiting if no machine has begun.
        reason: why, unless it is done.
        attempts: the machines that began, the first one first.
    """

    state: JobState
    reason: str
    attempts: list[Attempt]


def read_outcome(place: JobPlace) -> Outcome:
    """Reads how a job ended, once no machine of it is left.

    A machine writes that it ended after everything else. One that began and never wrote it was taken away, with its
    last checkpoint no more than a minute old.
    """
    attempts = place.read_attempts()
    if not attempts:
        return Outcome(JobState.WAITING, "no machine has begun to work on it", attempts)
    code = place.read_text("exit_code")
    if attempts[-1].ended is None or code is None:
        return Outcome(JobState.STOPPED, "its machine went away before it had brought everything up", attempts)
    stopped = place.read_text("stopped")
    if code == "0":
        return Outcome(JobState.STOPPED if stopped else JobState.DONE, stopped or "", attempts)
    reason = place.read_text("output/failure") or EXIT_REASONS.get(code, "it gave no reason")
    return Outcome(JobState.FAILED, f"exit code {code}: {reason[-MAX_REASON:]}", attempts)


def fetch_results(place: JobPlace, folder: Path) -> Path:
    """Brings the results of a job's last machine into a new folder, whole or not at all.

    Raises:
        InputError: if the folder is there.
        JobError: if there are no results yet.
        TransferError: if what arrived is not what the machine left.
    """
    refuse_existing(folder, "the results")
    sums = place.read_text(CHECKSUMS_NAME)
    if sums is None:
        raise JobError(f"{place.url} has no results yet: a job's machine writes {CHECKSUMS_NAME} when it ends.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{folder.name}_", folder.parent) as scratch:
        arriving = scratch / "results"
        _download(place, list(json.loads(sums)), arriving)
        write_atomically(arriving / CHECKSUMS_NAME, sums + "\n")
        check_checksums(arriving)
        arriving.rename(folder)
    return folder


def _download(place: JobPlace, names: list[str], folder: Path) -> None:
    transfer = S3Transfer(S3Place.parse(place.url), place.region)
    there = transfer.list_files()
    lost = [name for name in names if name not in there]
    if lost:
        raise TransferError(f"{place.url} lacks {len(lost)} files of the job's, among them {lost[0]}.")
    folder.mkdir()
    transfer.receive([there[name] for name in names], folder)
