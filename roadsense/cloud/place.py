"""Finds a dataset: in a local folder, or on S3, from where it is downloaded."""

from pathlib import Path

from roadsense.utils.workspace import resolve


def find_dataset(folder: str | Path) -> Path:
    """Returns the local folder for a path, or for `s3://.../datasets/<digest>`, optionally with a split after it.

    A dataset on S3 is downloaded once, checked, and kept in the cache by its digest.

    Raises:
        InputError: if a URL is not that of a dataset, or cannot be reached with the present credentials.
        DatasetError: if there is no dataset at the URL.
    """
    if not str(folder).startswith("s3://"):
        return resolve(folder)
    from roadsense.cloud import storage  # imports boto3, which a local folder does not need

    return storage.find_dataset(folder)
