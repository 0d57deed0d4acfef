"""Worker processes that end with the program that started them, however that ended."""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import forkserver
from typing import Any, TypeVar

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_State = TypeVar("_State")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_workers(
    call: Callable[[_State, _Item], _Result], items: Sequence[_Item], state: _State, n_workers: int
) -> Iterator[_Result]:
    """Yields `call(state, item)` for each item, in the order of the items, computed in worker processes.

    Each process has its own copy of the state and keeps it from item to item: an open simulation, for example.

    Args:
        call: a module's function; each worker imports it.
        items: second argument of each call.
        state: first argument of each call; it must pickle.
        n_workers: the most processes, from 1.

    Raises:
        BrokenProcessPool: if a process dies.
    """
    with start_pool(max(1, min(n_workers, len(items))), [call.__module__], _keep_state, (state,)) as pool:
        yield from pool.map(partial(_call_with_state, call), items)


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


_kept_state: list[Any] = []
"""The state of this worker process, if it is one of `map_in_workers`."""


def _keep_state(state: Any) -> None:
    _kept_state[:] = [state]


def _call_with_state(call: Callable[[Any, Any], Any], item: Any) -> Any:
    return call(_kept_state[0], item)


def _start(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    end_with_program()
    if initializer is not None:
        initializer(*arguments)
