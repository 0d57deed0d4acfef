"""Progress bars with an estimate of the time left, for terminals, notebooks and logs."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

TERMINAL_INTERVAL_S = 0.2
HEADLESS_INTERVAL_S = 30.0
PLAIN_FORMAT = "{desc}: {percentage:.0f}% {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"
HEADLESS_VARIABLE = "ROADSENSE_HEADLESS"
"""Environment variable that is set in the kernel of a headless notebook."""


def progress_bar(total: int, what: str, unit: str) -> tqdm:
    """Returns a bar: live in a terminal and a notebook, a plain line every 30 s in a headless run.

    Args:
        total: number of units of work.
        what: name of the work, as a heading.
        unit: name of the counted unit, singular.
    """
    if sys.stderr.isatty() or _is_watched_notebook():
        return tqdm(
            total=total, desc=what, unit=unit, mininterval=TERMINAL_INTERVAL_S, dynamic_ncols=True, file=_Stream()
        )
    return PlainProgress(
        total=total, desc=what, unit=unit, mininterval=HEADLESS_INTERVAL_S, maxinterval=60, bar_format=PLAIN_FORMAT
    )


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


def is_headless() -> bool:
    """Returns whether this is the kernel of a headless notebook: there, widgets show pictures."""
    return HEADLESS_VARIABLE in os.environ


def _is_watched_notebook() -> bool:
    return _is_kernel() and not is_headless()


def _is_kernel() -> bool:
    application = sys.modules.get("ipykernel.kernelapp")
    return application is not None and application.IPKernelApp.initialized()


class PlainProgress(tqdm):
    """Progress in complete lines, without carriage returns, for logs."""

    @staticmethod
    def status_printer(file: object) -> Callable[[str], None]:
        """Returns the function that prints a state of the bar."""

        def _print_line(line: str) -> None:
            if line.strip():
                _Stream().write(line.strip() + "\n")
                _Stream().flush()

        return _print_line
