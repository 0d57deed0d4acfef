"""Stops a running notebook: a signal becomes a stop file, and the training then saves a checkpoint and ends."""

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
"""Time after which a cell that still runs, and trains nothing, is interrupted again, seconds."""
GIVE_UP_S = 80.0
"""Time after which the kernel is killed, seconds: EC2's machines give 90 s, SageMaker 120 s, also for the results."""


class StopSignals:
    """Handles SIGTERM and SIGINT, and passes them on to the running notebook.

    Args:
        stop_path: file that receives the signal's name when the job is asked to stop; None to write none.

    Attributes:
        run_dir: run folder of the notebook's training, which may not exist yet; None without a training.
        reason: name of the received signal; empty before.
    """

    def __init__(self, stop_path: Path | None = None):
        self.run_dir: Path | None = None
        self.reason = ""
        self._stop_path = stop_path
        self._asked_s = self._interrupted_s = 0.0
        self._is_urgent = self._is_told = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handles the signals inside this block; does nothing outside the main thread, as Python requires."""
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
        """Asks the notebook to stop, if this process was asked to; called repeatedly while it runs."""
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
        """Writes, only once, that this process was asked to stop."""
        if not self._is_told:
            self._is_told = True
            if self._stop_path is not None:
                self._stop_path.write_text(self.reason)
            sys.stderr.write(f"{self.reason}: the notebook is asked to stop; a training keeps a checkpoint.\n")
            sys.stderr.flush()

    def _ask_training(self) -> bool:
        """Writes the stop file of a running training; returns whether there is such a training."""
        if self.run_dir is None or not self.run_dir.is_dir():
            return False
        folder = find_current_folder(self.run_dir)
        if read_state(folder).name != RUNNING:
            return False
        (folder / STOP_NAME).touch()
        return True

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self.reason:
            self._is_urgent = number == signal.SIGINT  # second Ctrl-C
        else:
            self.reason, self._asked_s = signal.Signals(number).name, time.monotonic()
