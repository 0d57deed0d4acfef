"""How a running notebook is asked to stop: a signal becomes a stop file, which a training answers with a checkpoint."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from roadsense.runs.experiment import find_current_folder
from roadsense.runs.state import RUNNING, read_state
from roadsense.runs.stopping import SIGNALS, STOP_NAME

if TYPE_CHECKING:
    from roadsense.jobs.inside.execution import Execution

AGAIN_S = 10.0
"""A cell that goes on after this, and trains nothing, is interrupted once more."""
GIVE_UP_S = 110.0
"""Then the kernel is killed: SageMaker and spot instances give 120 s."""


class StopSignals:
    """Takes SIGTERM and SIGINT, and passes them on to the notebook that runs.

    Args:
        stop_path: written when asked to stop, with the signal's name; None to write none.

    Attributes:
        run_dir: where a training of this notebook lies or will lie; None if it has none.
        reason: the signal's name, once it has come; empty before.
    """

    def __init__(self, stop_path: Path | None = None):
        self.run_dir: Path | None = None
        self.reason = ""
        self._stop_path = stop_path
        self._asked_s = self._interrupted_s = 0.0
        self._is_urgent = self._is_told = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes the signals inside; outside the main thread, where Python allows no handlers, it doesn't."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._take) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def pass_on(self, execution: "Execution") -> None:
        """Asks the notebook to stop, if this process was asked to; called again and again while it runs."""
        if not self.reason:
            return
        self.tell()
        now_s = time.monotonic()
        if self._is_urgent or now_s - self._asked_s > GIVE_UP_S:
            execution.kill()
            return
        is_training = self._ask_training()
        is_due = not self._interrupted_s or (not is_training and now_s - self._interrupted_s > AGAIN_S)
        if is_due and execution.interrupt():
            self._interrupted_s = now_s

    def tell(self) -> None:
        """Writes that this process was asked to stop, once."""
        if not self._is_told:
            self._is_told = True
            if self._stop_path is not None:
                self._stop_path.write_text(self.reason)
            sys.stderr.write(f"{self.reason}: the notebook is asked to stop; a training keeps a checkpoint.\n")
            sys.stderr.flush()

    def _ask_training(self) -> bool:
        """Writes the stop file of a training that runs; returns whether there is one."""
        if self.run_dir is None or not self.run_dir.is_dir():
            return False
        folder = find_current_folder(self.run_dir)
        if read_state(folder).name != RUNNING:
            return False
        (folder / STOP_NAME).touch()
        return True

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.reason:
            self._is_urgent = number == signal.SIGINT  # Ctrl-C a second time
        else:
            self.reason, self._asked_s = signal.Signals(number).name, time.monotonic()
