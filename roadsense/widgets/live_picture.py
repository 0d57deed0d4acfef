"""A picture in a notebook that is drawn anew while a cell runs: one output, updated in place."""

import io
import time
from collections.abc import Callable
from typing import Any

from IPython.display import Image, display
from matplotlib.figure import Figure

from roadsense.utils.progress import is_headless

REDRAW_S = 10.0
"""Seconds between two drawings at least."""
DPI = 80


class LivePicture:
    """One picture, updated in place where somebody watches; in a headless run it appears once, at the end.

    Args:
        every_s: seconds between two drawings at least.

    Attributes:
        n_drawn: how often it was drawn.
    """

    def __init__(self, every_s: float = REDRAW_S):
        self.n_drawn = 0
        self._every_s, self._drawn_s = every_s, -every_s
        self._shown: Any = None

    def offer(self, draw: Callable[[], Figure | None]) -> None:
        """Draws anew, if that is due and somebody watches.

        Args:
            draw: returns the figure, or None if there is nothing to be seen yet.
        """
        if not is_headless() and time.monotonic() - self._drawn_s >= self._every_s:
            self.finish(draw)

    def finish(self, draw: Callable[[], Figure | None]) -> None:
        """Draws what stays; see `offer`."""
        figure = draw()
        if figure is None:
            return
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=DPI)
        picture = Image(file.getvalue(), format="png")
        if self._shown is None:
            self._shown = display(picture, display_id=True)
        else:
            self._shown.update(picture)
        self.n_drawn, self._drawn_s = self.n_drawn + 1, time.monotonic()
