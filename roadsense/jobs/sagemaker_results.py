"""What a SageMaker job left, brought here and checked."""

import tarfile
from pathlib import Path
from typing import Any

from roadsense.cloud.checksums import TransferError, check_checksums
from roadsense.cloud.s3_transfer import S3File, S3Place, S3Transfer
from roadsense.jobs.target import JobError
from roadsense.utils.files import refuse_existing
from roadsense.utils.scratch import scratch_folder

ARCHIVES = {"model.tar.gz": "model", "output.tar.gz": "output/data"}
"""The archives SageMaker makes of a job's folders, and where they belong in ours."""
MAX_UNPACKED_BYTES = 20 * 2**30


def fetch_results(job: dict[str, Any], folder: Path, region: str | None) -> Path:
    """Brings a job's archives into a new folder and unpacks them, whole or not at all.

    Args:
        job: as SageMaker describes it.
        folder: new.
        region: of AWS.

    Raises:
        InputError: if the folder is there.
        JobError: if the job left nothing yet.
        TransferError: if an archive is not safe to unpack, or the model is not what the job left, by the checksums that
            the runner put beside it; also if they are missing, because the job was killed before it wrote them.
    """
    refuse_existing(folder, "the results")
    name, base = job["TrainingJobName"], job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    place = S3Place.parse(f"{base}/{name}/output")
    transfer = S3Transfer(place, region)
    there = {key: file for key, file in transfer.list_files().items() if key in ARCHIVES}
    if "model.tar.gz" not in there:
        raise JobError(f"{name} has left no results yet: there is no model.tar.gz at {place.url}.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f".{folder.name}_", folder.parent) as scratch:
        arriving = scratch / "results"
        _receive(transfer, list(there.values()), scratch, arriving)
        check_checksums(arriving / "model")
        arriving.rename(folder)
    return folder


def _receive(transfer: S3Transfer, files: list[S3File], scratch: Path, arriving: Path) -> None:
    packed = scratch / "packed"
    transfer.receive(files, packed)
    for file in files:
        unpack_archive(packed / file.name, arriving / ARCHIVES[file.name])


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpacks an archive of plain files and folders.

    Raises:
        TransferError: if it is broken, too large, or would write outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as packed:
            members = packed.getmembers()
            if sum(member.size for member in members) > MAX_UNPACKED_BYTES:
                raise TransferError(f"{archive.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes.")
            packed.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TransferError(f"{archive.name} cannot be unpacked ({error}). Fetch it again.") from error
