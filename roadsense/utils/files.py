"""Files: written completely or not at all, hashed, and never overwritten."""

import errno
import fcntl
import hashlib
import itertools
import json
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from roadsense.errors import InputError, MachineError, RoadSenseError, RunError

PROBE_NAME = ".roadsense_probe"
SUMS_NAME = "checksums.json"
"""File next to policies with the original SHA-256 of each, by name."""
_CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota of disk space is used up",
    errno.EROFS: "the disk is read-only",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder, not a file",
    errno.ENOENT: "there is no such file or folder",
    errno.EMFILE: "too many files are open",
    errno.EIO: "the disk reports an error",
    errno.EFBIG: "the file is larger than allowed",
}
_REMEDIES = {
    errno.ENOSPC: "Free some space and run the same command again.",
    errno.EDQUOT: "Free some space and run the same command again.",
    errno.EROFS: "Name another folder, or make this one writable.",
    errno.EACCES: "Name another folder, or change its permissions.",
    errno.EPERM: "Name another folder, or change its permissions.",
    errno.EMFILE: "Raise the limit with `ulimit -n`, or use fewer workers.",
}

MAX_TEXT_BYTES = 256 * 2**20
"""Largest file of settings or figures that is read; those of the longest runs have about 10 MB."""

MISREAD = (
    OSError, ValueError, TypeError, LookupError, AttributeError, RuntimeError, EOFError, ArithmeticError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What readers raise for content that is not theirs; a `RecursionError` is a `RuntimeError`."""
_NO_JSON = ". JSON has no comments, no single quotes and no comma before } or ]"
_STRAYS = ("__MACOSX", "Thumbs.db", "desktop.ini")


def refuse_existing(
    folder: Path, what: str, error: type[InputError] = InputError, leftovers: Collection[str] = ()
) -> None:
    """Refuses a path for a new folder if something is there already; an empty folder is allowed.

    Args:
        folder: the folder.
        what: purpose of the folder for the message, as "the run".
        error: class of the error to raise.
        leftovers: names of files that a process leaves which dies before its work begins; they count as nothing.

    Raises:
        InputError: if the folder is not empty, is a file or a link, or is below a file.
    """
    if folder.is_dir() and not folder.is_symlink():
        reason = "holds something" if {path.name for path in folder.iterdir()} - set(leftovers) else None
    elif folder.exists() or folder.is_symlink():
        reason = "is a file or a link"
    else:
        nearest = next((parent for parent in folder.parents if parent.exists()), Path())
        reason = None if nearest.is_dir() else f"cannot be made in {nearest}, a file"
    if reason:
        raise error(f"Expected a new folder for {what}, but {folder} {reason}. Name another one.")


def find_free(wanted: Path) -> Path:
    """Returns a path for a new file or folder: the wanted one, or the first with a number where nothing is."""
    numbered = (wanted.with_stem(f"{wanted.stem}_{number}") for number in itertools.count(2))
    places = itertools.chain([wanted], numbered)
    return next(path for path in places if not path.exists() or (path.is_dir() and not any(path.iterdir())))


def is_of_machine(error: BaseException) -> bool:
    """Returns whether an error is the machine's, as a full disk, and says nothing about what was read."""
    return isinstance(error, OSError) and error.errno in {*_REMEDIES, errno.EIO, errno.EFBIG}


def describe_os_error(error: OSError) -> str:
    """Describes an error in words: the path, the cause, the free space and a remedy."""
    path = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else None
    cause = _CAUSES.get(error.errno or 0, error.strerror or str(error))
    place = next((one for one in (path, *path.parents) if os.path.exists(one)), None) if path else Path()
    free = f" ({shutil.disk_usage(place).free / 1e6:.0f} MB free)" if place and error.errno == errno.ENOSPC else ""
    subject = f"{str(path)!r}: " if path else ""
    return f"{subject}{cause}{free}. {_REMEDIES.get(error.errno or 0, 'Check the path.' if path else '')}".rstrip()


def check_writable(folder: Path) -> None:
    """Writes and removes a small file in an existing folder, so that a long task does not fail when it saves.

    Raises:
        MachineError: if the folder is not writable.
    """
    probe = folder / PROBE_NAME
    try:
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        raise MachineError(f"Expected a folder to write to. {describe_os_error(error)}") from error


@contextmanager
def hold(path: Path, busy: str = "", patience_s: float = 0.0, error: type[RoadSenseError] = RunError) -> Iterator[None]:
    """Holds a lock on a file inside a `with`; the system releases it when the process ends in any way.

    Args:
        path: the file, which is made with its folder if it is missing, and removed at the end.
        busy: message of the error if another process holds the lock; empty to wait for it.
        patience_s: time to wait before that error.
        error: class of that error.

    Raises:
        RunError: if another process holds the lock.
    """
    until_s = time.monotonic() + patience_s
    while True:
        try:
            opened = path.open("a")
        except FileNotFoundError:
            if path.is_symlink():
                raise
            path.parent.mkdir(parents=True, exist_ok=True)  # it is missing, or another process just removed it
            continue
        with opened as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
            except BlockingIOError:
                if time.monotonic() > until_s:
                    raise error(busy) from None
                time.sleep(0.05)
                continue
            if not _has_name(lock.fileno(), path):
                continue  # the process that held it has just removed it
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _has_name(descriptor: int, path: Path) -> bool:
    """Returns whether an open file still has its name, which another process may have taken from it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def reading(path: Path, what: str, error: type[RoadSenseError] = InputError) -> Iterator[None]:
    """Turns any failure to read or understand a file inside a `with` into one error that names the file.

    Args:
        path: the file, which others may have changed.
        what: content of the file for the message, as "the settings of the run".
        error: class of the error to raise.

    Raises:
        InputError: if the file is missing, is no file, is too large, or its content is not as expected.
    """
    try:
        if path.exists() and not path.is_file():
            raise ValueError("it is no file")
        if (n_bytes := path.stat().st_size) > MAX_TEXT_BYTES:
            raise ValueError(f"it has {n_bytes} bytes, at most {MAX_TEXT_BYTES} are read")
        yield
    except InputError as refused:
        if path.name in str(refused) or (path.parent != Path() and str(path.parent) in str(refused)):
            raise
        raise error(f"{path}: {refused}") from refused
    except MISREAD as damaged:
        if isinstance(damaged, OSError) and damaged.errno:
            damaged.filename = damaged.filename or str(path)
            raise error(f"Expected {what}. {describe_os_error(damaged)}") from damaged
        name = "" if isinstance(damaged, ValueError) else f"{type(damaged).__name__}: "
        reason = name + " ".join(str(damaged).split())[:200]
        reason += _NO_JSON if isinstance(damaged, json.JSONDecodeError) else ""
        raise error(f"{path}: expected {what}, but the file is damaged: {reason}. Restore it.") from damaged


def read_json(path: Path, what: str, error: type[RoadSenseError] = InputError, **kinds: type) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Args:
        path: the file.
        what: content of the file for the message, as "the settings of the run".
        error: class of the error to raise.
        kinds: type of each value that the object must have.

    Raises:
        InputError: if the file is missing, too large or damaged, or such a value is missing or of another type.
    """
    with reading(path, what, error):
        return check_object(json.loads(path.read_bytes()), **kinds)


def check_object(found: Any, **kinds: type) -> dict[str, Any]:
    """Returns what was read from JSON, if it is an object with values of these types.

    Raises:
        ValueError: if it is none, or a value is missing or of another type.
    """
    if not isinstance(found, dict):
        raise ValueError(f"expected an object, got {type(found).__name__}")
    for name, kind in kinds.items():
        if not isinstance(found.get(name), kind):
            raise ValueError(f"expected {name} as {kind.__name__}, got {found.get(name)!r}")
    return found


def read_bounded(path: Path, what: str, error: type[RoadSenseError] = InputError) -> bytes:
    """Returns the content of a file of at most `MAX_TEXT_BYTES`; see `reading` for the arguments and errors."""
    with reading(path, what, error):
        return path.read_bytes()


def record_sum(path: Path) -> None:
    """Records the SHA-256 of a new file in the file `SUMS_NAME` next to it."""
    sums = _read_sums(path.parent) | {path.name: hash_file(path)}
    write_atomically(path.with_name(SUMS_NAME), json.dumps(sums, indent=1) + "\n")


def read_checked(path: Path) -> bytes:
    """Returns a file's content, after comparing it with its recorded SHA-256, if there is one.

    Raises:
        InputError: if the file was changed.
    """
    content = path.read_bytes()
    noted, found = _read_sums(path.parent).get(path.name), hashlib.sha256(content).hexdigest()
    if noted not in (None, found):
        raise InputError(
            f"{path}: expected the file that was made (sha256 {noted[:12]}), it was changed since ({found[:12]}). "
            f"Restore it, or delete {SUMS_NAME} beside it if you trust the change."
        )
    return content


def _read_sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS_NAME
    sums = read_json(path, "the sums of policies") if path.is_file() else {}
    if not isinstance(sums, dict) or not all(isinstance(one, str) for one in sums.values()):
        raise InputError(f"{path}: expected the SHA-256 of each file by its name. Restore it.")
    return sums


def is_stray(path: Path) -> bool:
    """Returns whether a relative path is left by another program: hidden, or from an archive program."""
    return any(part.startswith(".") or part in _STRAYS for part in path.parts)


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file under another name, flushes it to the disk and renames it; of two processes one after the other."""
    data = content.encode() if isinstance(content, str) else content
    while not _write(path.with_name(part_name(path.name)), path, data):
        pass


def part_name(name: str) -> str:
    """Returns the name that a file has while `write_atomically` writes it."""
    return f".{name}.part"


def _write(waiting: Path, path: Path, data: bytes) -> bool:
    """Returns False if another process has just renamed the file that both had opened."""
    with waiting.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        if not _has_name(file.fileno(), waiting):
            return False
        with ExitStack() as failing:
            failing.callback(waiting.unlink, missing_ok=True)
            file.truncate(0)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.replace(waiting, path)
            failing.pop_all()
    return True


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
