"""How a training is asked to stop: by a signal, or by a file named `stop` in its run folder.

A file named `checkpoint` asks for a checkpoint and no end; the training removes it when that is written.
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
SIGNALS = (signal.SIGTERM, signal.SIGINT)
LOOK_EVERY_S = 1.0
"""The file is looked for this often."""
PATIENCE_S = 8.0
"""So long after the request, nothing is waited for any more; a checkpoint is to be there within 20 s."""


class StoppedError(RoadSenseError):
    """Raised when a training was asked to stop, after its checkpoint was written. Not a failure."""

    exit_code = 143


class StopRequest:
    """Whether a training is to stop.

    Args:
        folder: the run folder in which a file `stop` says so.
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
        """Returns whether a checkpoint is asked for."""
        return self._checkpoint_path.exists()

    def clear_checkpoint(self) -> None:
        """Notes that the checkpoint that was asked for is written."""
        self._checkpoint_path.unlink(missing_ok=True)

    def is_made(self) -> bool:
        """Returns whether it is; cheap enough to be asked at every step."""
        if not self.reason and time.monotonic() >= self._next_look_s:
            self._next_look_s = time.monotonic() + LOOK_EVERY_S
            if self._path.exists():
                self._make(f"{STOP_NAME} file")
        return bool(self.reason)

    def is_pressing(self) -> bool:
        """Returns whether it was made so long ago that nothing is to be waited for any more."""
        return self.is_made() and time.monotonic() - self._made_at_s > PATIENCE_S

    def _make(self, reason: str) -> None:
        self.reason, self._made_at_s = reason, time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes SIGTERM and SIGINT as the request. The second one ends the process as usual.

        Outside the main thread, where Python allows no handlers, only the file is looked for.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, the request raises `StoppedError` as it comes: for work that nothing is kept of."""
        self._raises = True
        if self.reason:
            self._raise()
        try:
            yield
        finally:
            self._raises = False

    def _take(self, number: int, _frame: FrameType | None) -> None:
        self._make(signal.Signals(number).name)
        for each in SIGNALS:
            signal.signal(each, signal.SIG_DFL if each == signal.SIGTERM else signal.default_int_handler)
        if self._raises:
            self._raise()

    def _raise(self) -> None:
        raise StoppedError(f"Stopped by {self.reason} before the first checkpoint; resumed, it begins anew.")
