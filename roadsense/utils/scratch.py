"""Folders for work in progress, that do not stay behind: not even those of a process that was killed."""

import fcntl
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_NAME = ".lock"
FRESH = "fresh_"
GRACE_S = 60.0
"""A folder without a lock, or without its name, may be about to get one for this long."""


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Makes a folder of its own and removes it at the end, whatever is in it.

    It is locked while it is in use, and the system unlocks what belonged to a process that has ended, however that
    ended. So the next call with the same place and prefix finds what a killed process left, and removes it first.

    Args:
        prefix: beginning of the folder's name.
        parent: where it lies; None for the system's place for temporary files.
    """
    place = parent or Path(tempfile.gettempdir())
    _remove_abandoned(place, prefix)
    fresh = Path(tempfile.mkdtemp(prefix=f"{FRESH}{prefix}", dir=place))
    with (fresh / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # It gets its name when it is locked, so that nobody finds it unlocked and takes it for abandoned.
        folder = fresh.rename(place / fresh.name.removeprefix(FRESH))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(place: Path, prefix: str) -> None:
    for folder in (*place.glob(f"{prefix}*"), *place.glob(f"{FRESH}{prefix}*")):
        if folder.is_dir() and not folder.is_symlink() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    if folder.name.startswith(FRESH):
        return _age_s(folder) > GRACE_S
    try:
        with (folder / LOCK_NAME).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:
        return _age_s(folder) > GRACE_S
    except OSError:  # in use, or another user's
        return False


def _age_s(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except FileNotFoundError:  # removed by another process in the meantime
        return 0.0
