"""The working folder of a generation: it can resume there, and two processes never write the same dataset.

The folder `.NAME.making/` beside the target `NAME` holds a lock, and one folder for each set of settings and base
files. A finished generation removes its folder; folders of other settings stay, and may be deleted.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from roadsense.errors import DatasetError

LOCK_PATIENCE_S = 1.0
"""Waiting time for the lock: a killed process holds it until the program it was starting has started."""

LOCK_NAME = "lock"
OUTCOMES, SCENARIOS = "outcomes", "dataset"
"""Folders in the working folder: the gate's outcome of each draw, and the accepted scenarios."""


@contextmanager
def hold_working_folder(target: Path, key: str) -> Iterator[Path]:
    """Yields the folder in which a target is made with the settings of `key`; no other process has it.

    The folder is as the last process with this key left it. `release` it once the target is complete.

    Raises:
        DatasetError: if another process is making the target.
    """
    outer = target.parent / f".{target.name}.making"
    lock = _lock(outer, target)
    try:
        folder = outer / key
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        _remove_if_last(outer)
        os.close(lock)


def release(folder: Path) -> None:
    """Removes a working folder with all its content."""
    shutil.rmtree(folder)


def _lock(outer: Path, target: Path) -> int:
    path = outer / LOCK_NAME
    patience_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        outer.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # another process removed it between the two lines
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(lock), path.stat()):
                    return lock
            except BlockingIOError as error:
                os.close(lock)
                if time.monotonic() < patience_s:
                    time.sleep(0.05)
                    continue
                raise DatasetError(
                    f"{target} is being made by another run. Wait for it to end, or give another output_dir."
                ) from error
            except FileNotFoundError:
                pass
            os.close(lock)


def _remove_if_last(outer: Path) -> None:
    if [path.name for path in outer.iterdir()] == [LOCK_NAME]:
        (outer / LOCK_NAME).unlink()
        with suppress(OSError):  # another process has just made its lock here
            outer.rmdir()


def clear_strays(folder: Path) -> None:
    """Removes the files directly in a folder, which an interrupted process may have left half written; folders stay."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
