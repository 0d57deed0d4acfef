"""Scratch folders for work in progress: removed at the end, or by a later call if the process was killed.

Only a folder that holds our mark file is ever removed.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from roadsense.errors import MachineError
from roadsense.utils.files import refuse_existing

MARK_NAME = ".roadsense_scratch"
_PRIVATE = 0o700


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Makes a new folder and removes it at the end with all its content.

    The folder holds a mark, which is locked while the folder is in use. The system releases the lock when the process
    ends in any way, so the next call with the same parent and prefix removes the folders of killed processes.

    Args:
        prefix: first part of the folder's name.
        parent: parent folder; None for a private folder among the system's temporary files.

    Raises:
        MachineError: if the private folder belongs to another user.
    """
    place = parent or _private_parent()
    remove_abandoned(place, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
    with _mark(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def arriving(folder: Path, what: str = "the results") -> Iterator[Path]:
    """Gives a new folder to fill, which is kept under its own name unless the block ends with an error or is killed.

    Args:
        folder: the folder as it will be called.
        what: its purpose for the message, as "the report".

    Raises:
        InputError: if the folder holds something.
    """
    prefix = f".{folder.name}_"
    remove_abandoned(folder.parent, prefix)  # also that of a process which died after the folder had its name
    refuse_existing(folder, what)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(prefix, folder.parent) as scratch:
        part = scratch / folder.name
        part.mkdir()
        yield part
        try:
            part.rename(folder)
        except OSError:
            refuse_existing(folder, what)  # another process was quicker
            raise


def _private_parent() -> Path:
    folder = Path(tempfile.gettempdir()) / f"roadsense-{os.getuid()}"
    folder.mkdir(mode=_PRIVATE, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) != _PRIVATE:
        raise MachineError(
            f"Expected a folder of mode 700 that belongs to you, got {folder}. Move it away, or set TMPDIR to another "
            "folder."
        )
    return folder


def _mark(folder: Path) -> TextIO:
    """Writes the mark file and returns it open and locked; it gets its final name after it is locked."""
    waiting = folder / f"{MARK_NAME}.part"
    mark = waiting.open("w")
    fcntl.flock(mark, fcntl.LOCK_EX)
    mark.write(_identity(folder))
    mark.flush()
    waiting.rename(folder / MARK_NAME)
    return mark


def remove_abandoned(place: Path, prefix: str) -> None:
    """Removes the scratch folders of killed processes in a folder."""
    for folder in place.glob(f"{prefix}*"):
        if folder.is_dir() and not folder.is_symlink() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Returns whether a folder has our mark, made for this folder and not for a copy, and no process locks it."""
    try:
        descriptor = os.open(folder / MARK_NAME, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # no mark, or another user's
        return False
    with os.fdopen(descriptor, "r+") as mark:
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.fstat(descriptor).st_uid == os.getuid() and mark.read() == _identity(folder)
        except (OSError, ValueError):  # in use, removed meanwhile, or not text
            return False


def _identity(folder: Path) -> str:
    return f"roadsense scratch folder {folder.stat().st_ino}\n"
