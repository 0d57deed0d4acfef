"""The shards that a generation left on S3, brought here and put together to the one dataset."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from roadsense.augment.config import GenConfig
from roadsense.augment.generate import generate_dataset
from roadsense.augment.validation.shards import read_shard
from roadsense.cloud.checksums import check_checksums
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.cloud.storage import download_folder
from roadsense.errors import DatasetError
from roadsense.jobs.generation import fetch_inputs, read_settings
from roadsense.jobs.processing import describe_processing, find_output
from roadsense.jobs.shard_layout import name_shard
from roadsense.jobs.target import JobError, JobState
from roadsense.scenarios.dataset import Dataset
from roadsense.utils.files import refuse_existing


def fetch_generated(job: dict[str, Any], folder: Path, region: str) -> Path:
    """Brings the shards of a generation here and makes the dataset of them, in a new folder.

    It is the one that a single machine makes, byte for byte. What was fetched stays in `.<folder>.shards` until then:
    a fetch that was ended goes on from there.

    Args:
        job: a Processing job as SageMaker describes it.
        folder: new, for the dataset.
        region: of AWS.

    Raises:
        InputError: if the folder is there.
        JobError: if the job isn't done, or a shard is missing; which one and why. Then nothing is put together.
        TransferError: if what arrived is not what the job left.
        DatasetError: if a shard was made with other settings, base files or versions.
    """
    refuse_existing(folder, "the dataset")
    _refuse_undone(job, region)
    parts = folder.parent / f".{folder.name}.shards"
    inputs = job["ProcessingInputs"][0]["S3Input"]["S3Uri"]
    config = fetch_inputs(
        inputs, parts / "inputs", read_settings(job["AppSpecification"].get("ContainerArguments", []))
    )
    shards = _fetch_shards(job, parts, region)
    merge_shards(replace(config, output_dir=folder, shards=shards))
    shutil.rmtree(parts)
    return folder


def merge_shards(config: GenConfig) -> Dataset:
    """Makes a dataset of all its shards, and checks every file of it against its manifest.

    Args:
        config: of the dataset, with `shards` in their order.

    Raises:
        DatasetError: if one is missing, or was made with other settings, base files or versions.
    """
    for number, folder in enumerate(config.shards):
        shard = read_shard(folder)
        if (shard.shard, shard.n_shards) != (number, len(config.shards)):
            raise DatasetError(
                f"Expected shard {number} of {len(config.shards)} in {folder}, found {shard.shard} of {shard.n_shards}."
            )
    dataset = generate_dataset(config)
    differences = dataset.verify()
    if differences:
        raise DatasetError(f"{dataset.folder} is not what its manifest says: {'; '.join(differences[:3])}.")
    return dataset


def _refuse_undone(job: dict[str, Any], region: str) -> None:
    status = describe_processing(job, region)
    if status.state is JobState.DONE:
        return
    if status.state.is_over:
        raise JobError(f"{status.name} has {status.state}, so nothing is put together: {status.reason or 'no reason'}")
    raise JobError(f"{status.name} is {status.state}: it has left nothing yet. Fetch it when it is done.")


def _fetch_shards(job: dict[str, Any], parts: Path, region: str) -> tuple[Path, ...]:
    url, n_shards = find_output(job), job["ProcessingResources"]["ClusterConfig"]["InstanceCount"]
    there = {name.partition("/")[0] for name in S3Transfer(S3Place.parse(url), region).list_files()}
    names = [name_shard(number) for number in range(n_shards)]
    missing = [name for name in names if name not in there]
    if missing:
        raise JobError(
            f"{url} lacks {len(missing)} of {n_shards} shards, {', '.join(missing[:3])} among them, so nothing is put "
            "together. Generate them again."
        )
    for name in names:
        download_folder(f"{url}/{name}", parts / name, region)
        check_checksums(parts / name)
        sys.stderr.write(f"{name} of {n_shards} is here and as its machine left it.\n")
    return tuple(parts / name for name in names)
