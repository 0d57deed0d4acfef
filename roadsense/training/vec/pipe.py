"""The training's end of a worker process: starting it, asking it within a limit of time, ending it."""

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
"""A worker that says nothing for this long is stuck; 512 steps take a second or a few, a start as much."""
LOOK_EVERY_S = 1.0
"""How often whoever waits is asked whether waiting is still wanted."""
END_LIMIT_S = 5.0
"""How long a worker may take to end when asked to; then it is killed."""
_PRELOADED = ["roadsense.training.vec.worker"]


class WorkerGone(Exception):
    """Raised when a worker has died or is stuck; says how."""


class CallFailed(Exception):
    """Raised when a worker could not do what it was asked to and is as before; `error` is the one to raise."""

    def __init__(self, error: Exception):
        super().__init__(str(error))
        self.error = error


class WorkerLink:
    """A worker process and the way to it.

    Args:
        shared: arrays that the worker writes its row of.
        task: what it is to do.
    """

    def __init__(self, shared: SharedArrays, task: WorkerTask):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_PRELOADED)
        self._link, far_end = context.Pipe()
        with far_end, _without_main_module():
            self.process = context.Process(target=serve, args=(far_end, shared, task), daemon=True)
            self.process.start()
        self._fd = self._link.fileno()
        _limit_waits(self._fd)

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self.process.pid or 0

    def step(self) -> None:
        """Tells the worker that its action is there."""
        try:
            os.write(self._fd, STEP)
        except OSError:
            pass  # the answer that does not come says more

    def ask(self, name: str, *arguments: Any) -> None:
        """Tells the worker to do something; `answer` has the result."""
        try:
            os.write(self._fd, CALL)
            self._link.send((name, arguments))
        except OSError:
            pass

    def answer(self, is_over: Callable[[], bool] = lambda: False) -> Any:
        """Waits for the worker; returns what it tells, or None when it is done and has nothing to tell.

        Args:
            is_over: whether there is no more time to wait.

        Raises:
            WorkerGone: if it died or says nothing within `ANSWER_LIMIT_S`; it is dead then.
            CallFailed: if a call raised an error.
        """
        try:
            self._wait(is_over)
            kind = os.read(self._fd, 1)
            if kind == DONE:
                return None
            message: Any = self._link.recv() if kind else None
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
        while not self._link.poll(LOOK_EVERY_S):
            waited_s = time.monotonic() - begin_s
            if waited_s >= ANSWER_LIMIT_S or is_over():
                raise BlockingIOError(f"nothing was heard for {waited_s:.0f} s")

    def kill(self, patience_s: float = 0.0) -> None:
        """Ends the process at once, or after waiting for its own end. May be called again."""
        if patience_s:
            self.process.join(patience_s)
        if self.process.is_alive():
            self.process.kill()
            self.process.join(END_LIMIT_S)

    def disconnect(self) -> None:
        """Closes the link, upon which the worker ends. May be called again."""
        self._link.close()
        self._fd = -1  # the number may be another file's soon


def end_workers(links: Sequence[WorkerLink]) -> None:
    """Ends workers, all at the same time: asks them to, and kills those that do not."""
    for link in links:
        link.disconnect()
    for link in links:
        link.kill(END_LIMIT_S)


def _limit_waits(descriptor: int) -> None:
    """Lets every read and write of a socket end with `BlockingIOError` after `ANSWER_LIMIT_S`."""
    seconds, fraction = divmod(ANSWER_LIMIT_S, 1)
    limit = struct.pack("ll", int(seconds), int(fraction * 1e6))
    with socket.socket(fileno=os.dup(descriptor)) as way:
        way.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)


def _explain_exit(code: int | None) -> str:
    if code is None:
        return "its link ended while it was running, so it was killed"
    if code >= 0:
        return f"it ended with exit code {code} and no last words"
    name = signal.Signals(-code).name
    cause = " (by hand, or for want of memory: see dmesg)" if -code == signal.SIGKILL else ""
    return f"killed by {name}{cause}"


@contextmanager
def _without_main_module() -> Iterator[None]:
    """Keeps new processes from importing the main program, and with it everything that learns."""
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
