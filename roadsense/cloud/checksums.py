"""SHA-256 of every result file of a job: written on the job's machine, checked after the download."""

import json
from collections.abc import Sequence
from pathlib import Path

from roadsense.errors import RoadSenseError
from roadsense.utils.files import hash_file, read_json, write_atomically

CHECKSUMS_NAME = "manifest.sha256.json"
RESULTS = ("model", "output", "checkpoints")
"""Folders with results in a job folder."""
WHOLE = (".",)
"""The folder itself, for one that is transferred alone."""


class TransferError(RoadSenseError):
    """Raised when transferred files are missing or damaged."""


def write_checksums(folder: Path, below: Sequence[str] = RESULTS) -> Path:
    """Writes the SHA-256 of each file in the subfolders `below` of a folder, by path; returns the written file.

    With `WHOLE` as `below`, it covers the whole folder except the file of checksums.
    """
    target = folder / CHECKSUMS_NAME
    files = [path for name in below for path in _files(folder / name) if path != target]
    sums = {path.relative_to(folder).as_posix(): hash_file(path) for path in files}
    write_atomically(target, json.dumps(sums, indent=1) + "\n")
    return target


def check_checksums(folder: Path) -> int:
    """Compares the files of a folder with their recorded SHA-256, and returns their number.

    Raises:
        TransferError: naming the first missing or changed files; or if the checksums are missing.
    """
    path = folder / CHECKSUMS_NAME
    if not path.is_file():
        raise TransferError(f"Expected {CHECKSUMS_NAME} in {folder}, found none: the job ended before it wrote it.")
    sums = read_json(path, "the sums of a job's files", TransferError)
    wrong = [
        f"{'changed' if (folder / name).is_file() else 'missing'}: {name}"
        for name, expected in sums.items()
        if not (folder / name).is_file() or hash_file(folder / name) != expected
    ]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise TransferError(f"{folder} is not what the job left: {'; '.join(wrong[:3])}{more}. Fetch it again.")
    return len(sums)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
