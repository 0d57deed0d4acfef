"""Processes beside the program that do single calls with large libraries: replaced when they die or stand still."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.errors import ExportError, RoadSenseError
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.worker_processes import LOOK_EVERY_S, N_TRIES, close_pool, end_with_program, kill_pool

STANDS_STILL_S = 300.0
"""Time without any use of a CPU after which a process counts as stuck: no busy machine keeps one waiting so long."""
LOG_TAIL_CHARACTERS = 2000


@dataclass(frozen=True)
class SideWork:
    """A call that a `SideProcess` does, or will do.

    Attributes:
        call: function and arguments.
        pool: the process that does it.
        future: its result.
    """

    call: tuple[Any, ...]
    pool: ProcessPoolExecutor
    future: Future[Any]


class SideProcess:
    """One process that runs functions one after the other and writes all its output to a file.

    If it dies, or uses no CPU time for `STANDS_STILL_S`, the call is done again in a new one.

    Args:
        what: name of its work, a noun, for messages.
        log_path: file for its output.
    """

    def __init__(self, what: str, log_path: Path):
        self._what, self._log_path = what, log_path
        self._begin()

    def _begin(self) -> None:
        # A new interpreter, not a fork: libraries with threads or a simulation do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context, _write_output_to, (self._log_path,))

    def start(self, function: Callable[..., Any], *arguments: object) -> SideWork:
        """Starts a module's function after the earlier ones have ended."""
        try:
            future = self._pool.submit(function, *arguments)
        except BrokenProcessPool:
            self.close()
            self._begin()
            future = self._pool.submit(function, *arguments)
        return SideWork((function, *arguments), self._pool, future)

    def take(self, work: SideWork) -> Any:
        """Waits for a result and returns it.

        Raises:
            RoadSenseError: if the function raised one.
            ExportError: if it failed in another way, or `N_TRIES` processes died; with the end of the output.
        """
        for _ in range(N_TRIES - 1):
            if isinstance(_wait_for(work), BrokenProcessPool):
                work = self.start(*work.call)
        error = _wait_for(work)
        if error is None or isinstance(error, RoadSenseError):
            return work.future.result()
        said = self._log_path.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:] if self._log_path.exists() else ""
        raise ExportError(f"The {self._what} failed ({error!r}). The end of its output:\n{said}") from error

    def close(self) -> None:
        """Ends the process; work that has not started is cancelled."""
        close_pool(self._pool)


def _wait_for(work: SideWork) -> BaseException | None:
    """Waits until a call has ended, and returns its error; a process that stands still is killed."""
    used_s, since_s = -1.0, time.monotonic()
    while not wait([work.future], LOOK_EVERY_S).done:
        now_s = sum(map(_read_cpu_s, list(work.pool._processes or {})))
        if now_s > used_s:
            used_s, since_s = now_s, time.monotonic()
        elif time.monotonic() - since_s > STANDS_STILL_S:
            kill_pool(work.pool)
    return work.future.exception()


def _read_cpu_s(pid: int) -> float:
    """Returns the CPU time that a process has used; 0 if it is gone."""
    try:
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    except OSError:
        return 0.0
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


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
