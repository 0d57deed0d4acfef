"""What a run is doing: running, trained, stopped or failed, seen from any process of the machine.

A running training holds a lock on a file of its folder. The lock goes with the process, however that ends, so a run
that says it is running while nobody holds its lock has died.
"""

import fcntl
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from roadsense.errors import RunError
from roadsense.runs.stopping import StoppedError
from roadsense.utils.files import write_atomically

STATE_NAME, LOCK_NAME = "state.json", ".lock"
RUNNING, TRAINED, STOPPED, FAILED = "running", "trained", "stopped", "failed"


@dataclass(frozen=True)
class RunState:
    """What a run is doing.

    Attributes:
        name: `running`, `trained`, `stopped` (it can be resumed) or `failed`.
        reason: why it stopped or failed.
        since: date and time.
    """

    name: str
    reason: str = ""
    since: str = ""


def read_state(folder: Path) -> RunState:
    """Returns the state of the run in a folder."""
    path = folder / STATE_NAME
    if not path.is_file():
        return RunState(TRAINED) if (folder / "model.zip").is_file() else RunState(FAILED, "it never began")
    state = RunState(**json.loads(path.read_text()))
    if state.name == RUNNING and not _is_locked(folder):
        return RunState(FAILED, "its process died", state.since)
    return state


class RunningMark:
    """Marks a run as running inside a `with`, and afterwards as what became of it.

    Args:
        folder: of the run.

    Raises:
        RunError: on entering, if another process is training it.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    def __enter__(self) -> None:
        self._lock = (self._folder / LOCK_NAME).open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise RunError(
                f"Expected a run that nobody trains, but {self._folder} is running. Wait for it, or stop it."
            ) from None
        _write(self._folder, RunState(RUNNING))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if kind is None:
            state = RunState(TRAINED)
        elif issubclass(kind, StoppedError):
            state = RunState(STOPPED, str(error))
        else:
            state = RunState(FAILED, f"{kind.__name__}: {error}")
        _write(self._folder, state)
        self._lock.close()


def _write(folder: Path, state: RunState) -> None:
    stamped = RunState(state.name, state.reason, time.strftime("%Y-%m-%d %H:%M:%S"))
    write_atomically(folder / STATE_NAME, json.dumps(asdict(stamped), indent=2) + "\n")


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
