"""Where a dataset is made, so that a run that was ended goes on, and two runs never write the same one.

Beside the target `NAME` lies `.NAME.making/`: a lock, and for each set of settings and base files a folder of its
own. A finished run removes its folder; those of runs with other settings are left alone, and may be deleted.
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
"""A run that was killed keeps its lock until the program it was just starting has started."""

LOCK_NAME = "lock"
OUTCOMES, SCENARIOS = "outcomes", "dataset"
"""Folders in the working folder: what came of each draw, and the scenarios that were accepted."""


@contextmanager
def hold_working_folder(target: Path, key: str) -> Iterator[Path]:
    """Yields the folder in which a target is made with the settings that `key` stands for; nobody else has it.

    The folder is as the last run with this key left it. `release` it once the target is complete.

    Raises:
        DatasetError: if another run is making the target.
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
    """Removes a working folder with all that is in it."""
    shutil.rmtree(folder)


def _lock(outer: Path, target: Path) -> int:
    path = outer / LOCK_NAME
    patience_s = time.monotonic() + LOCK_PATIENCE_S
    while True:
        outer.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # removed by a run that ended between the two lines
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
        with suppress(OSError):  # another run has just made its lock here
            outer.rmdir()


def clear_strays(folder: Path) -> None:
    """Removes the files directly in a folder, which an ended run may have left half written; folders stay."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
