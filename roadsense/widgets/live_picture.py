"""A picture in a notebook that is drawn again while a cell runs: one output, updated in place."""

import io
import time
from collections.abc import Callable
from typing import Any

from IPython.display import Image, display
from matplotlib.figure import Figure

from roadsense.utils.progress import is_headless

REDRAW_S = 10.0
"""Least time between two drawings."""
DPI = 80


class LivePicture:
    """One picture, updated in place in a live notebook; in a headless run it appears once, at the end.

    Args:
        every_s: least time between two drawings.

    Attributes:
        n_drawn: number of drawings so far.
    """

    def __init__(self, every_s: float = REDRAW_S):
        self.n_drawn = 0
        self._every_s, self._drawn_s = every_s, -every_s
        self._shown: Any = None

    def offer(self, draw: Callable[[], Figure | None]) -> None:
        """Draws again, if that is due and the notebook is live.

        Args:
            draw: function that returns the figure, or None if there is nothing to show yet.
        """
        if not is_headless() and time.monotonic() - self._drawn_s >= self._every_s:
            self.finish(draw)

    def finish(self, draw: Callable[[], Figure | None]) -> None:
        """Draws the final picture; see `offer`."""
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
