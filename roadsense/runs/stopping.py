"""Requests to stop a training: by a signal, or by a file named `stop` in its run folder.

A file named `checkpoint` requests a checkpoint only; the training removes the file when the checkpoint is written.
"""

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from roadsense.errors import RoadSenseError

STOP_NAME, CHECKPOINT_NAME = "stop", "checkpoint"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_EVERY_S = 1.0
"""Time between two checks for the file."""
PATIENCE_S = 8.0
"""Time after the request from which the training waits for nothing; the checkpoint must be written within 20 s."""


class StoppedError(RoadSenseError):
    """Raised when a request stopped the work, after its checkpoint was written. Not a failure."""

    exit_code = 143


class StopRequest:
    """Whether a stop is requested.

    Args:
        folder: the run folder; a file `stop` in it requests a stop.
    """

    def __init__(self, folder: Path):
        self._path = folder / STOP_NAME
        self._next_look_s = 0.0
        self._raises = False
        self.reason = ""
        self._made_at_s = math.inf
        self._checkpoint_path = folder / CHECKPOINT_NAME
        for path in (self._path, self._checkpoint_path):
            path.unlink(missing_ok=True)

    def is_checkpoint_wanted(self) -> bool:
        """Returns whether a checkpoint is requested."""
        return self._checkpoint_path.exists()

    def clear_checkpoint(self) -> None:
        """Removes the request for a checkpoint."""
        self._checkpoint_path.unlink(missing_ok=True)

    def is_made(self) -> bool:
        """Returns whether a stop is requested; cheap enough to call at every step."""
        if not self.reason and time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + LOOK_EVERY_S
            if self._path.exists():
                self._make(f"{STOP_NAME} file")
        return bool(self.reason)

    def check(self) -> None:
        """Raises `StoppedError` if a stop is requested: for work that saves nothing."""
        if self.is_made():
            self._raise()

    def is_pressing(self) -> bool:
        """Returns whether the request is so old that the training must not wait for anything."""
        return self.is_made() and time.monotonic() - self._made_at_s > PATIENCE_S

    def _make(self, reason: str) -> None:
        self.reason, self._made_at_s = reason, time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Treats the first of `SIGNALS` as the request. A second one ends the process as usual.

        Outside the main thread, where Python allows no handlers, only the file counts.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        # An ignored signal stays ignored: `nohup` ignores SIGHUP.
        heard = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, self._take) for number in heard}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal raises `StoppedError` at once: for work that saves nothing. `check` looks for the file."""
        self._raises = True
        self.check()
        try:
            yield
        finally:
            self._raises = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._make(signal.Signals(number).name)
        for each in SIGNALS:
            if signal.getsignal(each) != signal.SIG_IGN:
                signal.signal(each, signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL)
        if self._raises:
            self._raise()

    def _raise(self) -> None:
        raise StoppedError(
            f"Stopped by {self.reason} before the first checkpoint; a resume starts it from the beginning."
        )
