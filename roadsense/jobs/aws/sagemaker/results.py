"""The results of a job on SageMaker, downloaded and checked: whole or not at all, which the SDK's download is not."""

from pathlib import Path
from typing import Any

from roadsense.cloud.checksums import check_checksums
from roadsense.cloud.downloads import unpack_archive
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.jobs.target import JobError
from roadsense.utils.files import refuse_existing
from roadsense.utils.scratch import scratch_folder

ARCHIVES = {"model.tar.gz": "model", "output.tar.gz": "output/data"}
"""The archives SageMaker makes of a job's folders, and where they belong in ours."""


def fetch_results(job: dict[str, Any], folder: Path, region: str | None) -> Path:
    """Downloads a job's archives and unpacks them in a new folder, whole or not at all.

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
        transfer.receive(there.values(), scratch / "packed")
        for archive in there:
            unpack_archive(scratch / "packed" / archive, arriving / ARCHIVES[archive])
        check_checksums(arriving / "model")
        arriving.rename(folder)
    return folder
