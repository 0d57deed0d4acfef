"""Where a dataset lies: a folder here, or on S3, from where it is fetched."""

from pathlib import Path

from roadsense.utils.workspace import resolve


def find_dataset(folder: str | Path) -> Path:
    """Returns the local folder for a path, or for `s3://.../datasets/<digest>` with a split behind it or without.

    What lies on S3 is fetched once, checked, and kept by its digest.

    Raises:
        InputError: if it is a URL, and not that of a dataset, or cannot be reached with the credentials there are.
        DatasetError: if there is no dataset at it.
    """
    if not str(folder).startswith("s3://"):
        return resolve(folder)
    from roadsense.cloud import storage  # boto3, which nobody needs for a folder

    return storage.find_dataset(folder)
