"""A worker process as the training sees it: start it, call it with a time limit, end it."""

import multiprocessing
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from roadsense.training.vec.shared import SharedArrays
from roadsense.training.vec.worker import CALL, DIED, DONE, FAILED, STEP, WorkerTask, serve

ANSWER_LIMIT_S = 120.0
"""A worker that sends nothing for this long is stuck. 512 steps, or a start, take a few seconds at most."""
LOOK_EVERY_S = 1.0
"""Time between two checks of a wait whether it should end."""
END_LIMIT_S = 5.0
"""Time in which a worker may end by itself; then it is killed."""
_PRELOADED = ["roadsense.training.vec.worker"]


class WorkerGone(Exception):
    """Raised when a worker has died or is stuck; says why."""


class CallFailed(Exception):
    """Raised when a call failed and the worker still works; `error` is the error of the call."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class WorkerPipe:
    """A worker process and the pipe to it.

    Args:
        shared: shared arrays; the worker writes its part of them.
        task: settings that the worker starts with.
    """

    def __init__(self, shared: SharedArrays, task: WorkerTask):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._pipe, far_end = context.Pipe()
        with far_end, _without_main_module():
            self.process = context.Process(target=serve, args=(far_end, shared, task), daemon=True)
            self.process.start()
        self._fd = self._pipe.fileno()
        _limit_waits(self._fd)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self.process.pid or 0

    def step(self) -> None:
        """Lets the worker drive one step; its action is in the shared arrays."""
        try:
            os.write(self._fd, STEP)
        except OSError:
            pass  # `answer` will report what happened

    def ask(self, name: str, *arguments: Any) -> None:
        """Sends a call to the worker; `answer` returns the result."""
        try:
            os.write(self._fd, CALL)
            self._pipe.send((name, arguments))
        except OSError:
            pass

    def answer(self, is_over: Callable[[], bool] = lambda: False) -> Any:
        """Waits for the worker; returns its answer, or None if it has finished without one.

        Args:
            is_over: function that says whether the wait should end early.

        Raises:
            WorkerGone: if the worker died, or was killed because it sent nothing within `ANSWER_LIMIT_S`.
            CallFailed: if a call raised an error.
        """
        try:
            self._wait(is_over)
            kind = os.read(self._fd, 1)
            if kind == DONE:
                return None
            message: Any = self._pipe.recv() if kind else None
        except BlockingIOError as error:
            self.kill()
            raise WorkerGone(f"stuck: {error}, so it was killed") from None
        except (EOFError, ConnectionResetError):
            kind = b""
        if kind == FAILED:
            raise CallFailed(message)
        if kind in (DIED, b""):
            self.kill(END_LIMIT_S)
            raise WorkerGone(message if kind else _explain_exit(self.process.exitcode))
        return message

    def _wait(self, is_over: Callable[[], bool]) -> None:
        """Waits until there is something to read."""
        begin_s = time.monotonic()
        while not self._pipe.poll(LOOK_EVERY_S):
            waited_s = time.monotonic() - begin_s
            if waited_s >= ANSWER_LIMIT_S or is_over():
                raise BlockingIOError(f"nothing was heard for {waited_s:.0f} s")

    def kill(self, patience_s: float = 0.0) -> None:
        """Kills the process if it has not ended within `patience_s`. A second call does nothing."""
        if patience_s:
            self.process.join(patience_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(END_LIMIT_S)

    def disconnect(self) -> None:
        """Closes the pipe, after which the worker ends. A second call does nothing."""
        self._pipe.close()
        self._fd = -1  # another file may soon have this number


def end_workers(pipes: Sequence[WorkerPipe]) -> None:
    """Ends workers in parallel; kills those that do not end by themselves."""
    for pipe in pipes:
        pipe.disconnect()
    for pipe in pipes:
        pipe.kill(END_LIMIT_S)


def _limit_waits(descriptor: int) -> None:
    """Makes every read and write of a socket end with `BlockingIOError` after `ANSWER_LIMIT_S`."""
    seconds, fraction = divmod(ANSWER_LIMIT_S, 1)
    limit = struct.pack("ll", int(seconds), int(fraction * 1e6))
    with socket.socket(fileno=os.dup(descriptor)) as way:
        way.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _explain_exit(code: int | None) -> str:
    if code is None:
        return "its pipe was closed while it was running, so it was killed"
    if code >= 0:
        return f"it ended with exit code {code} and no message"
    name = signal.Signals(-code).name
    cause = " (by hand, or for lack of memory: see dmesg)" if -code == signal.SIGKILL else ""
    return f"killed by {name}{cause}"


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keeps new processes from importing the main program, and with it all learning code."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
