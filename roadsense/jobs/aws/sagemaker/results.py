"""Downloads and checks a SageMaker job's results: completely or not at all, unlike the SDK's download."""

from pathlib import Path
from typing import Any

from roadsense.cloud.checksums import check_checksums
from roadsense.cloud.downloads import arriving, unpack_archive
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.jobs.target import JobError
from roadsense.utils.scratch import scratch_folder

ARCHIVES = {"model.tar.gz": "model", "output.tar.gz": "output/data"}
"""The archives SageMaker makes from a job's folders, and their paths in our job folder."""


def fetch_results(job: dict[str, Any], folder: Path, region: str | None) -> Path:
    """Downloads a job's archives and unpacks them in a new folder, completely or not at all.

    Args:
        job: SageMaker's description of the job.
        folder: new folder for the results.
        region: AWS region.

    Raises:
        InputError: if the folder exists.
        JobError: if there are no results yet.
        TransferError: if an archive is not safe to unpack, or the model differs from the runner's checksums; also if
            the checksums are missing, because the job was killed before it wrote them.
    """
    name, base = job["TrainingJobName"], job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    place = S3Place.parse(f"{base}/{name}/output")
    transfer = S3Transfer(place, region)
    there = {key: file for key, file in transfer.list_files().items() if key in ARCHIVES}
    if "model.tar.gz" not in there:
        raise JobError(f"{name} has left no results yet: there is no model.tar.gz at {place.url}.")
    with arriving(folder) as part, scratch_folder(".packed_", folder.parent) as packed:
        transfer.receive(there.values(), packed)
        for archive in there:
            unpack_archive(packed / archive, part / ARCHIVES[archive])
        check_checksums(part / "model")
    return folder
