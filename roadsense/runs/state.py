"""The state of a run: running, trained, stopped or failed. Any process of the machine can read it.

A running training holds a lock on a file in its folder. The system releases the lock however the process ends, so a
run with the state running and a free lock has died.
"""

import fcntl
import json
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from roadsense.errors import InputError, MachineError
from roadsense.runs.stopping import StoppedError
from roadsense.utils.files import describe_os_error, hold, read_json, write_atomically

STATE_NAME, LOCK_NAME = "state.json", ".lock"
_ROOM_BYTES = 1024
"""Size of the file: a new state over an old one needs no more disk space."""
RUNNING, TRAINED, STOPPED, FAILED = "running", "trained", "stopped", "failed"


@dataclass(frozen=True)
class RunState:
    """The state of a run.

    Attributes:
        name: `running`, `trained`, `stopped` (it can be resumed) or `failed`.
        reason: why it stopped or failed.
        since: date and time of the last change, local time.
    """

    name: str
    reason: str = ""
    since: str = ""


def read_state(folder: Path) -> RunState:
    """Returns the state of the run in a folder."""
    path = folder / STATE_NAME
    if not path.is_file():
        return RunState(TRAINED) if (folder / "model.zip").is_file() else RunState(FAILED, "it never began")
    try:
        state = RunState(**read_json(path, "the state of a run", name=str, reason=str, since=str))
    except (InputError, TypeError):
        state = RunState(FAILED, f"{STATE_NAME} is damaged")
    if state.name == RUNNING and not _is_locked(folder):
        return RunState(FAILED, "its process died", state.since)
    return state


class RunningMark:
    """Marks a run as running inside a `with`, and afterwards as trained, stopped or failed.

    Args:
        folder: the run folder.

    Raises:
        RunError: on entering, if another process trains it.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> None:
        busy = f"Expected a run that nobody trains, but {self._folder} is running. Wait for it, or stop it."
        self._lock = ExitStack()
        self._lock.enter_context(hold(self._folder / LOCK_NAME, busy))
        _write(self._folder, RunState(RUNNING))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if kind is None:
            state = RunState(TRAINED)
        elif isinstance(error, StoppedError | MachineError):
            state = RunState(STOPPED, str(error))
        elif isinstance(error, OSError):
            state = RunState(STOPPED, describe_os_error(error))
        elif isinstance(error, KeyboardInterrupt):
            state = RunState(STOPPED, "interrupted")
        else:
            state = RunState(FAILED, f"{kind.__name__}: {error}")
        _write(self._folder, state)
        self._lock.close()


def _write(folder: Path, state: RunState) -> None:
    stamped = RunState(state.name, state.reason, time.strftime("%Y-%m-%d %H:%M:%S"))
    content = (json.dumps(asdict(stamped), indent=2) + "\n").encode()
    path = folder / STATE_NAME
    try:
        write_atomically(path, content.ljust(_ROOM_BYTES))
    except OSError:
        if not path.is_file():
            raise
        with path.open("r+b") as file:  # over the old state: needs no new space on a full disk
            file.write(content.ljust(_ROOM_BYTES))
            file.truncate()


def _is_locked(folder: Path) -> bool:
    path = folder / LOCK_NAME
    if not path.is_file():
        return False
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
