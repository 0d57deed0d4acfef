"""Files: written so that they are whole or not there, hashed, and never overwritten."""

import hashlib
import os
from pathlib import Path

from roadsense.errors import InputError


def refuse_existing(folder: Path, what: str, error: type[InputError] = InputError) -> None:
    """Refuses a folder that is to be made if something is there already; it may exist and be empty.

    Args:
        folder: the folder.
        what: what it is for, as "the run": for the message.
        error: class of the error to raise.

    Raises:
        InputError: if it holds something, is a file or a link, or lies below a file.
    """
    if folder.is_dir() and not folder.is_symlink():
        reason = "holds something" if any(folder.iterdir()) else None
    elif folder.exists() or folder.is_symlink():
        reason = "is a file or a link"
    else:
        nearest = next((parent for parent in folder.parents if parent.exists()), Path())
        reason = None if nearest.is_dir() else f"cannot be made in {nearest}, a file"
    if reason:
        raise error(f"Expected a new folder for {what}, but {folder} {reason}. Name another one.")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file under another name in the same folder and renames it into place."""
    waiting = path.with_name(f".{path.name}.part")
    try:
        waiting.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(waiting, path)
    finally:
        waiting.unlink(missing_ok=True)


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
