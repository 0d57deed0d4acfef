"""A separate process for a library that is large or prints much; its errors include the end of its output."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from roadsense.errors import ExportError, RoadSenseError
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.worker_processes import end_with_program

LOG_TAIL_CHARACTERS = 2000


class SideProcess:
    """One process that runs functions one after the other and writes all its output to a file.

    Args:
        what: name of its work, a noun, for messages.
        log_path: file for its output.
    """

    def __init__(self, what: str, log_path: Path):
        self._what, self._log_path = what, log_path
        # A new interpreter, not a fork: libraries with threads or a simulation do not survive a fork.
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _write_output_to, (log_path,))

    def start(self, function: Callable[..., Any], *arguments: object) -> "Future[Any]":
        """Starts a module's function after the earlier ones have ended."""
        return self._pool.submit(function, *arguments)

    def take(self, future: "Future[Any]") -> Any:
        """Waits for a result and returns it.

        Raises:
            RoadSenseError: if the function raised one.
            ExportError: if it failed in another way; with the end of the output.
        """
        error = future.exception()
        if error is None or isinstance(error, RoadSenseError):
            return future.result()
        said = self._log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:] if self._log_path.exists() else ""
        raise ExportError(f"The {self._what} failed ({error!r}). The end of its output:\n{said}") from error

    def close(self) -> None:
        """Ends the process; work that has not started is cancelled."""
        self._pool.shutdown(cancel_futures=True)


@contextmanager
def side_processes(*names: str) -> Iterator[tuple[SideProcess, ...]]:
    """Opens a process for each name, and closes them all at the end."""
    with scratch_folder("roadsense_export_") as logs:
        processes = tuple(SideProcess(name, logs / name) for name in names)
        try:
            yield processes
        finally:
            for process in processes:
                process.close()


def _write_output_to(path: Path) -> None:
    end_with_program()
    # By file descriptor, because libraries also write output without Python.
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
