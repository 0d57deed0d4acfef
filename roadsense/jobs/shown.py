"""What is shown of a job: its request and price before it starts, then its figures, its curves, or its trials."""

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.metric_series import MetricSeries, describe_latest, plot_series

SHOWN = 60
"""Number of characters shown of a text in a request."""


def confirm(request: Mapping[str, Any], is_confirmed: bool) -> None:
    """Shows a request and its price, and asks whether to start it.

    Args:
        request: the request, as `Plan.describe` returns it.
        is_confirmed: whether `--yes` gave the answer.

    Raises:
        InputError: if the answer is no, or there is no terminal to ask in.
    """
    sys.stderr.write(json.dumps(shorten(request), indent=2, default=str) + f"\nPrice: {request['price']}\n")
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise InputError("Expected --yes to start what costs money, got none and no terminal to ask in.")
    sys.stderr.write("Start it? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError("Nothing was started.")


def shorten(value: Any, length: int = SHOWN) -> Any:
    """Returns JSON-like values with long texts shortened."""
    if isinstance(value, Mapping):
        return {name: shorten(item, length) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [shorten(item, length) for item in value]
    is_long = isinstance(value, str) and len(value) > length
    return f"{value[:length]}... ({len(value)} characters)" if is_long else value


class ShownJob:
    """Shows the figures of a job in a notebook: a picture, and a line for each evaluation.

    Args:
        series: empty series for the job's figures.
        plot: function that draws the trials of a search; None for a training, whose learning curves are drawn.
    """

    def __init__(self, series: MetricSeries, plot: Callable[[], Any] | None = None):
        from roadsense.widgets.live_picture import LivePicture

        self._picture, self._series, self._n_evaluations = LivePicture(), series, 0
        self._plot = plot or (lambda: plot_series(series))

    def take(self, line: str) -> bool:
        """Takes a line of the log; returns whether it holds a figure."""
        if not self._series.take(line):
            return False
        table = self._series.table()
        n_evaluations = int(table["eval_score"].count()) if "eval_score" in table else 0
        if n_evaluations > self._n_evaluations:
            self._n_evaluations = n_evaluations
            sys.stdout.write(f"{describe_latest(self._series)}\n")
        self.draw()
        return True

    def draw(self, is_last: bool = False) -> None:
        """Draws the picture, unless it was drawn a moment ago; the last one in any case."""
        show = self._picture.finish if is_last else self._picture.offer
        show(self._plot)
