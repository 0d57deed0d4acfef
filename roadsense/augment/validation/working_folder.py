"""The working folder of a generation: it can resume there, and two processes never write the same dataset.

The folder `.NAME.making/` beside the target `NAME` holds a lock, and one folder for each set of settings and base
files. A finished generation removes its folder; folders of other settings stay, and may be deleted.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from roadsense.errors import DatasetError
from roadsense.utils.files import hold

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
    outer = _outer(target)
    busy = f"{target} is being made by another run. Wait for it to end, or give another output_dir."
    try:
        with hold(outer / LOCK_NAME, busy, LOCK_PATIENCE_S, DatasetError):
            folder = outer / key
            folder.mkdir(exist_ok=True)
            yield folder
    finally:
        with suppress(OSError):  # it holds a folder of other settings, or another process's lock
            outer.rmdir()


def release_finished(target: Path, key: str) -> None:
    """Removes the working folder that a process left which died after the target had its name."""
    if (_outer(target) / key).is_dir():
        with suppress(DatasetError), hold_working_folder(target, key) as folder:  # else that process still lives
            release(folder)


def _outer(target: Path) -> Path:
    return target.parent / f".{target.name}.making"


def release(folder: Path) -> None:
    """Removes a working folder with all its content."""
    shutil.rmtree(folder)


def clear_strays(folder: Path) -> None:
    """Removes the files directly in a folder, which an interrupted process may have left half written; folders stay."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
