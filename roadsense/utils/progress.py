"""Progress bars with an estimate of the time left, for terminals, notebooks and logs."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, TextIO

from tqdm import tqdm

TERMINAL_INTERVAL_S = 0.2
SHORT_S = 0.9
"""Work that is over sooner needs no sign."""
TICK_S = 1.0
"""A live bar is drawn again this often, so that its time goes on while a step of the work is silent."""
HEADLESS_INTERVAL_S = 30.0
PLAIN_FORMAT = "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
WORKING_FORMAT = "{desc} [{elapsed}]"
HEADLESS_VARIABLE = "ROADSENSE_HEADLESS"
"""Environment variable that is set in the kernel of a headless notebook."""


def progress_bar(total: int, what: str, unit: str, delay_s: float = 0.0, done: int = 0) -> tqdm:
    """Returns a bar: live in a terminal and a notebook, a plain line every 30 s in a headless run.

    Args:
        total: number of units of work.
        what: name of the work, as a heading.
        unit: name of the counted unit, singular.
        delay_s: work that is over sooner shows no bar.
        done: number of units that were done before; the speed does not count them.
    """
    if sys.stderr.isatty() or (_is_kernel() and not is_headless()):
        return LiveProgress(
            total=total, desc=what, unit=unit, mininterval=TERMINAL_INTERVAL_S, dynamic_ncols=True, file=_Stream(),
            delay=delay_s, initial=done,
        )  # fmt: skip
    return PlainProgress(
        total=total, desc=what, unit=unit, mininterval=HEADLESS_INTERVAL_S, maxinterval=60, bar_format=PLAIN_FORMAT,
        position=0, file=_Nowhere(), delay=delay_s and HEADLESS_INTERVAL_S, initial=done,
    )  # fmt: skip


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """Shows, from the first second on, that work without countable steps goes on.

    Args:
        what: name of the work, as a heading.
    """
    with progress_bar(1, what, "step", SHORT_S) as bar:
        bar.bar_format = WORKING_FORMAT
        yield
        bar.update()


def say(line: str) -> None:
    """Writes a line where the bars are: to standard error, or to a notebook's output, where that is no error."""
    _Stream().write(f"{line}\n")
    _Stream().flush()


class _Stream:
    """The present standard error; in a notebook, which shows that as an error, standard output.

    A full disk or a closed terminal does not stop the work.
    """

    @property
    def _now(self) -> TextIO:
        return sys.stdout if _is_kernel() else sys.stderr

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            return self._now.write(text)
        return 0

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._now.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._now, name)


class _Nowhere:
    # Takes what tqdm writes to move its cursor, which complete lines do not need.
    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        pass


def is_headless() -> bool:
    """Returns whether this is the kernel of a headless notebook: there, widgets show pictures."""
    return HEADLESS_VARIABLE in os.environ


def _is_kernel() -> bool:
    application = sys.modules.get("ipykernel.kernelapp")
    return application is not None and application.IPKernelApp.initialized()


class LiveProgress(tqdm):
    """One line that is drawn again and again; of bars within bars only the inner one shows, and goes when it ends."""

    _open: ClassVar[list["LiveProgress"]] = []
    last_print_t: float

    def __init__(self, **options: Any):
        self._ended = threading.Event()
        outer = self._open[-1] if self._open else None
        if outer is not None:
            outer.clear()
        self._open.append(self)
        super().__init__(position=0, leave=outer is None, **options)
        threading.Thread(target=self._tick, name="progress bar", daemon=True).start()

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Draws the bar if it is the inner one; an empty message erases it."""
        return bool(super().display(msg, pos)) if msg == "" or self._open[-1:] == [self] else True

    def close(self) -> None:
        """Ends the bar, and draws the one around it again."""
        if self._ended.is_set():
            return
        self._ended.set()
        super().close()
        self._open.remove(self)
        if self._open:
            self._open[-1].refresh()

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            # tqdm takes the speed from the time of the last step, and clears what it has shown after the delay.
            self.last_print_t = max(self.last_print_t, self.start_t + self.delay)
            self.refresh()


class PlainProgress(tqdm):
    """Progress in complete lines, without carriage returns, for logs."""

    @staticmethod
    def status_printer(file: object) -> Callable[[str], None]:
        """Returns the function that prints a state of the bar, each once."""
        last = ""

        def _print_line(line: str) -> None:
            nonlocal last
            if line.strip() not in ("", last):
                _Stream().write(line.strip() + "\n")
                _Stream().flush()
            last = line.strip() or last

        return _print_line
