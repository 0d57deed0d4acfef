"""Datasets on S3: uploaded once, checked file by file after the download.

A dataset is at `<prefix>/datasets/<digest>/`. Its manifest is uploaded last: if it is there, the dataset is complete.
A downloaded dataset appears in the cache completely or not at all, under its digest.
"""

import os
import re
from pathlib import Path

from roadsense.cloud.checksums import TransferError
from roadsense.cloud.s3_transfer import S3, S3Place, S3Transfer, find_files, select_missing
from roadsense.errors import DatasetError, InputError
from roadsense.scenarios.dataset import CARD_NAMES, MANIFEST_NAME, Dataset
from roadsense.utils.files import hash_file, hold
from roadsense.utils.workspace import resolve

CACHE_VARIABLE = "ROADSENSE_CACHE"
DATASETS = "datasets"
DATASET_PLACE = re.compile(r"(?P<place>s3://[^/]+/(?:.+/)?datasets/(?P<digest>[0-9a-f]{64}))(?:/(?P<rest>.*))?")


def publish_dataset(folder: str | Path, url: str, region: str | None = None) -> str:
    """Checks a dataset against its manifest and uploads it to S3; existing files are not uploaded again.

    Args:
        folder: folder of the dataset.
        url: `s3://bucket/prefix`; the dataset is uploaded to `datasets/<digest>` below it.
        region: AWS region; by default the configured one.

    Returns:
        The dataset's URL, with its digest.

    Raises:
        DatasetError: if the folder is not a dataset, or differs from its manifest.
    """
    folder = Path(folder)
    check_dataset(folder)
    dataset = Dataset.open(folder)
    above = S3Place.parse(url)
    transfer = S3Transfer(S3Place(above.bucket, above.key(f"{DATASETS}/{dataset.digest}")), region)
    there = transfer.list_files()
    names = [name for record in dataset.scenarios for name in record.files]
    names += [name for name in CARD_NAMES if (folder / name).is_file()]
    transfer.send(folder, select_missing({name: folder / name for name in names}, there))
    transfer.send(folder, select_missing({MANIFEST_NAME: folder / MANIFEST_NAME}, there))
    return transfer.place.url


def find_dataset_url(dataset: str | None, url: str) -> str:
    """Returns a dataset's URL on S3; for a local folder, the URL that `publish_dataset` gives it below `url`.

    Without a dataset the URL is empty.
    """
    if not dataset or dataset.startswith(S3):
        return dataset or ""
    return f"{url.rstrip('/')}/{DATASETS}/{Dataset.open(dataset).digest}"


def fetch_dataset(url: str, cache_dir: Path | None = None, region: str | None = None) -> Path:
    """Downloads a published dataset, unless the cache has it. Continues an interrupted download.

    Args:
        url: URL that `publish_dataset` returned.
        cache_dir: folder that keeps datasets by digest; by default `find_cache`.
        region: AWS region; by default the configured one.

    Returns:
        The dataset's folder in the cache.

    Raises:
        InputError: if the URL is not that of a dataset.
        DatasetError: if there is no dataset, or the cached one was changed.
        TransferError: if a file is missing, or its content differs from the manifest.
    """
    match = DATASET_PLACE.fullmatch(url)
    if match is None:
        raise InputError(
            f"Expected s3://bucket/prefix/datasets/<64 hex digits>, got {url!r}. Publish the dataset first."
        )
    cache = cache_dir or find_cache()
    folder, part = cache / match["digest"], cache / f".{match['digest']}.part"
    cache.mkdir(parents=True, exist_ok=True)
    with hold(cache / f".{match['digest']}.lock"):  # one process at a time downloads a dataset
        if not folder.is_dir():
            _fetch(S3Transfer(S3Place.parse(match["place"]), region), part, match["digest"])
            part.rename(folder)
            return folder
    check_dataset(folder)
    return folder


def find_dataset(folder: str | Path) -> Path:
    """Returns the local folder for a path, or for `s3://.../datasets/<digest>`, optionally with a split after it.

    A dataset on S3 is downloaded once, checked, and kept in the cache by its digest; see `fetch_dataset`.
    """
    if not str(folder).startswith(S3):
        return resolve(folder)
    match = DATASET_PLACE.fullmatch(str(folder))
    if match is None:
        return fetch_dataset(str(folder))  # says what is wrong with it
    return fetch_dataset(match["place"]) / (match["rest"] or "")


def find_cache() -> Path:
    """Returns the folder of cached datasets: `$ROADSENSE_CACHE`, or `roadsense` in the user's own cache."""
    named = os.environ.get(CACHE_VARIABLE)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(named) if named else base / "roadsense") / DATASETS


def _fetch(transfer: S3Transfer, part: Path, digest: str) -> None:
    there = transfer.list_files()
    if MANIFEST_NAME not in there:
        raise DatasetError(f"Expected a dataset at {transfer.place.url}, found no {MANIFEST_NAME}. Publish it first.")
    transfer.receive([there[MANIFEST_NAME]], part)
    dataset = Dataset.open(part)
    if dataset.digest != digest:
        raise TransferError(
            f"{transfer.place.url} holds another dataset, of digest {dataset.digest}. Publish it again."
        )
    expected = {name: sha for record in dataset.scenarios for name, sha in record.files.items()}
    lost = sorted(expected.keys() - there.keys())
    if lost:
        raise TransferError(f"{transfer.place.url} lacks {len(lost)} files, among them {lost[0]}. Publish it again.")
    cards = [there[name] for name in CARD_NAMES if name in there]
    for name in find_files(part).keys() - expected.keys() - {MANIFEST_NAME, *CARD_NAMES}:
        (part / name).unlink()  # left by an interrupted download
    missing = [there[name] for name, sha in expected.items() if not _has(part / name, sha)]
    transfer.receive(missing + cards, part)
    changed = [file.name for file in missing if not _has(part / file.name, expected[file.name])]
    for name in changed:
        (part / name).unlink()
    if changed:
        raise TransferError(
            f"{transfer.place.url}: {len(changed)} files were changed, among them {changed[0]}. Delete them there and "
            "publish the dataset again."
        )
    check_dataset(part)


def _has(path: Path, sha256: str) -> bool:
    return path.is_file() and hash_file(path) == sha256


def check_dataset(folder: str | Path) -> None:
    """Checks every file of a dataset against its manifest, and the manifest against its digest.

    Raises:
        DatasetError: if there is no dataset, or it differs from its manifest.
    """
    differences = Dataset.open(folder).verify()
    if differences:
        more = f" and {len(differences) - 3} more" if len(differences) > 3 else ""
        raise DatasetError(f"{folder} is not what its manifest says: {'; '.join(differences[:3])}{more}.")
