"""Worker processes that end when the program that started them ends, even if it is killed."""

import atexit
import contextlib
import ctypes
import math
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from typing import Any, TypeVar

from roadsense.errors import MachineError
from roadsense.utils.scratch import scratch_folder

_OPEN = contextlib.ExitStack()
N_TRIES = 3
"""Number of processes that may die at one item."""
LOOK_EVERY_S = 1.0
START_LIMIT_S, END_PATIENCE_S = 300.0, 30.0
"""Time that a process has to start, and to end by itself, before it is killed."""
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
_State = TypeVar("_State")
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_workers(
    call: Callable[[_State, _Item], _Result],
    items: Sequence[_Item],
    state: _State,
    n_workers: int,
    limit_s: float = math.inf,
) -> Iterator[_Result]:
    """Yields `call(state, item)` for each item, in the order of the items; see `run_in_workers` for the arguments."""
    ended: dict[int, _Result] = {}
    wanted = 0
    for index, result in run_in_workers(call, items, state, n_workers, limit_s):
        ended[index] = result
        while wanted in ended:
            yield ended.pop(wanted)
            wanted += 1


def run_in_workers(
    call: Callable[[_State, _Item], _Result],
    items: Sequence[_Item],
    state: _State,
    n_workers: int,
    limit_s: float = math.inf,
) -> Iterator[tuple[int, _Result]]:
    """Yields each item's index and `call(state, item)` when the call ends, computed in worker processes.

    Each process has its own copy of the state, such as an open simulation, and keeps it from item to item. A process
    that dies or exceeds the time limit is replaced, and its item is tried again.

    Args:
        call: a module's function; each worker imports it.
        items: second argument of each call.
        state: first argument of each call; it must be picklable.
        n_workers: largest number of processes, at least 1.
        limit_s: longest time of a call, seconds; a process has `START_LIMIT_S` to start.

    Raises:
        MachineError: if `N_TRIES` processes die at one item.
    """
    waiting, tries = deque(range(len(items))), Counter[int]()
    seats = [_Seat(call, state) for _ in range(max(1, min(n_workers, len(items))))]
    try:
        while waiting or any(seat.future for seat in seats):
            for seat in seats:
                if waiting and not seat.future:
                    seat.take(waiting.popleft(), items)
            wait([seat.future for seat in seats if seat.future], LOOK_EVERY_S, FIRST_COMPLETED)
            for seat in [seat for seat in seats if seat.future]:
                if not seat.has_ended(limit_s):
                    continue
                index, result, is_lost = seat.give()
                if not is_lost:
                    yield index, result
                    continue
                tries[index] += 1
                if tries[index] == N_TRIES:
                    raise MachineError(
                        f"{N_TRIES} worker processes died or stood still over {items[index]}: SUMO crashed, memory ran "
                        f"out, or the machine is too slow (limit {limit_s:g} s). Try that one alone, or fewer workers."
                    )
                waiting.append(index)
    finally:
        for seat in seats:
            seat.close()


class _Seat:
    """One worker process and its item; a process that died is replaced."""

    def __init__(self, call: Callable[[Any, Any], Any], state: Any):
        self._call, self._state = call, state
        self.future: Future[Any] | None = None
        self._begin()

    def _begin(self) -> None:
        self._pool = start_pool(1, [self._call.__module__], _keep_state, (self._state,))
        self._started = self._pool.submit(os.getpid)
        self._started.add_done_callback(self._set_clock)

    def _set_clock(self, _started: "Future[int] | None" = None) -> None:
        self._begun_s = time.monotonic()

    def take(self, index: int, items: Sequence[Any]) -> None:
        """Starts the call for an item."""
        self._index = index
        self._set_clock()
        try:
            self.future = self._pool.submit(_call_with_state, self._call, items[index])
        except BrokenProcessPool as error:  # the process died between two items
            self.future = Future()
            self.future.set_exception(error)

    def has_ended(self, limit_s: float) -> bool:
        """Returns whether the call has ended or its process died; kills a process that takes too long."""
        longest_s = limit_s if self._started.done() else START_LIMIT_S
        if self.future is not None and not self.future.done() and time.monotonic() - self._begun_s > longest_s:
            kill_pool(self._pool)
        return self.future is not None and self.future.done()

    def give(self) -> tuple[int, Any, bool]:
        """Returns the item's index, the result, and whether the process died; a dead process is replaced."""
        future, self.future = self.future, None
        if future is not None and isinstance(future.exception(), BrokenProcessPool):
            self.close()
            self._begin()
            return self._index, None, True
        return self._index, future.result() if future is not None else None, False

    def close(self) -> None:
        """Ends the process, even during a call."""
        if self.future is not None and not self.future.done():
            kill_pool(self._pool)
        close_pool(self._pool)


def start_pool(
    n_workers: int, preload: Sequence[str], initializer: Callable[..., object] | None = None, arguments: tuple = ()
) -> ProcessPoolExecutor:
    """Returns a pool of workers forked from a clean server; each can run one simulation.

    Args:
        n_workers: number of processes, at least 1.
        preload: modules that the server imports once for all workers.
        initializer: function that each worker calls first.
        arguments: arguments of `initializer`.
    """
    own_sockets()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(preload))
    return ProcessPoolExecutor(n_workers, context, _start, (initializer, arguments))


def kill_pool(pool: ProcessPoolExecutor) -> None:
    """Kills a pool's processes, whatever they do: their calls end with `BrokenProcessPool`."""
    for process in list((pool._processes or {}).values()):
        process.kill()


def close_pool(pool: ProcessPoolExecutor) -> None:
    """Ends a pool's processes after the calls that have begun; those that stand still are killed."""
    killing = threading.Timer(END_PATIENCE_S, kill_pool, (pool,))
    killing.daemon = True
    killing.start()
    try:
        pool.shutdown(cancel_futures=True)
    finally:
        killing.cancel()


def own_sockets() -> None:
    """Makes multiprocessing keep its sockets in a scratch folder, so that they are removed even after a kill."""
    settings = vars(multiprocessing.current_process())["_config"]
    if settings.get("tempdir") is None:
        settings["tempdir"] = str(_OPEN.enter_context(scratch_folder("mp-")))
        atexit.register(_OPEN.close)


def end_with_program() -> None:
    """Makes this worker end when the program that started it ends, even if that program was killed.

    Workers are forked from a server, which ends when all copies of its lifeline are closed. Every worker gets a copy
    and closes it here; the system ends the worker together with the server. Linux only; elsewhere a worker ends when
    it next asks for work.
    """
    if sys.platform != "linux":
        return
    lifeline = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_alive_fd", None)
    if lifeline is not None:
        os.close(lifeline)
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def ignore_interrupts() -> None:
    """Ignores Ctrl-C and a notebook's interrupt button: the program handles them. For a pool's `initializer`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


_kept_state: list[Any] = []
"""State of this worker process, if `run_in_workers` started it."""


def _keep_state(state: Any) -> None:
    _kept_state[:] = [state]


def _call_with_state(call: Callable[[Any, Any], Any], item: Any) -> Any:
    return call(_kept_state[0], item)


def _start(initializer: Callable[..., object] | None, arguments: tuple[Any, ...]) -> None:
    end_with_program()
    if initializer is not None:
        initializer(*arguments)
