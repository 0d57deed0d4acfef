"""Downloads, unpacks and checks a job's results: completely or not at all."""

import gzip
import shutil
import tarfile
from collections.abc import Iterable
from pathlib import Path

from roadsense.cloud.checksums import CHECKSUMS_NAME, TransferError, check_checksums
from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.scenarios.archives import BROKEN
from roadsense.utils.files import is_of_machine
from roadsense.utils.scratch import arriving, scratch_folder

MODEL_ARCHIVE, MODEL_DIR = "model.tar.gz", "model"
"""SageMaker packs a job's folder `model` into this archive; a job on EC2 uploads it as this folder."""
MAX_UNPACKED_BYTES = 20 * 2**30
CHUNK_BYTES = 2**20


def download(place: S3Place, folder: Path, names: Iterable[str] | None = None, region: str | None = None) -> None:
    """Downloads files from a prefix in S3 into a folder.

    Args:
        place: bucket and prefix in S3.
        folder: folder for the files; it is made if missing.
        names: names of the files below the prefix; by default all.
        region: AWS region; by default the configured one.

    Raises:
        TransferError: if a file is missing, or there are no files.
    """
    transfer = S3Transfer(place, region)
    there = transfer.list_files()
    wanted = list(there if names is None else names)
    lost = [name for name in wanted if name not in there]
    if lost or (names is None and not there):
        raise TransferError(f"Expected files at {place.url}, found none{f' named {lost[0]}' if lost else ''}.")
    folder.mkdir(parents=True, exist_ok=True)
    transfer.receive([there[name] for name in wanted], folder)


def download_run(url: str, folder: Path, region: str | None = None) -> None:
    """Downloads a run into a new folder: a run folder, a job's folder, or the `model.tar.gz` of a job on SageMaker.

    Raises:
        TransferError: if there are no files, or a file is missing or damaged.
    """
    place, names = S3Place.parse(url), None
    if url.endswith(".tar.gz"):
        prefix, _, name = place.prefix.rpartition("/")
        place, names = S3Place(place.bucket, prefix), [name]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(".sent_", folder.parent) as scratch:
        download(place, scratch / "sent", names, region)
        unpack_run(scratch / "sent", folder)


def unpack_run(source: Path, folder: Path) -> None:
    """Copies a downloaded run, or a job's input run, into a new folder, and compares it with its checksums if any.

    Raises:
        TransferError: if a file is missing or damaged.
    """
    archives = sorted(source.rglob("*.tar.gz"))
    with arriving(folder) as part:
        if archives:
            unpack_archive(next((path for path in archives if path.name == MODEL_ARCHIVE), archives[0]), part)
        else:
            is_job = (source / MODEL_DIR).is_dir()
            shutil.copytree(source / MODEL_DIR if is_job else source, part, dirs_exist_ok=True)
        if (part / CHECKSUMS_NAME).is_file():
            check_checksums(part)


def unpack_archive(archive: Path, folder: Path) -> None:
    """Unpacks an archive of plain files and folders.

    Raises:
        TransferError: if the archive is broken, too large, or would write outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream) as packed:
            members = packed.getmembers()
            if sum(member.size for member in members) > MAX_UNPACKED_BYTES:
                raise TransferError(f"{archive.name} unpacks to more than {MAX_UNPACKED_BYTES} bytes.")
            packed.extractall(folder, members=members, filter="data")
            while stream.read(CHUNK_BYTES):  # to its end, where its checksum is
                pass
    except BROKEN as error:
        if is_of_machine(error):
            raise
        raise TransferError(f"{archive.name} cannot be unpacked ({error}). Fetch it again.") from error
