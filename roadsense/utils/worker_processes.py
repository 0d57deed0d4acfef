"""Worker processes that end with the program that started them, however that ended."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import forkserver
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def start_pool(
    n_workers: int, preload: Sequence[str], initializer: Callable[..., object] | None = None, arguments: tuple = ()
) -> ProcessPoolExecutor:
    """Returns a pool of workers forked from a clean server, each with room for one simulation of its own.

    Args:
        n_workers: processes, from 1.
        preload: modules the server imports once for all workers.
        initializer: called in each worker first.
        arguments: of it.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return ProcessPoolExecutor(n_workers, context, _start, (initializer, arguments))


def end_with_program() -> None:
    """Makes this worker end when the program that started it is gone, even if that was killed.

    The server that workers are forked from ends when the last holder of its lifeline is gone, and every worker is
    given a copy of it: so each closes its own, and is ended by the system when the server is. Linux only; elsewhere
    a worker ends when it next asks for work.
    """
    if sys.platform != "linux":
        return
    lifeline = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_alive_fd", None)
    if lifeline is not None:
        os.close(lifeline)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def ignore_interrupts() -> None:
    """Leaves Ctrl-C, and the interrupt button of a notebook, to the program; for a pool's `initializer`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _start(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    end_with_program()
    if initializer is not None:
        initializer(*arguments)
