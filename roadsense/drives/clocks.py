"""Sets one car's clock by another's: boards start at zero, and their quartzes drift. Pure.

A message is never heard before it was sent. So the line below all differences of hearing and sending that is nearest to
them is the other clock, up to the shortest latency, which no log can tell from an offset.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_MESSAGES = 10
"""Fewer messages set no clock."""
DRIFT_FROM_S = 60.0
"""Over a shorter time than this, no drift is fitted: a millisecond in 60 s is 17 ppm already."""
WINDOW_S = 5.0
"""The smallest difference in each window of this length is used."""
MOST_LATENCY_S = 2.0
"""Differences farther from their median line than this are no latency but a wrong time."""


@dataclass(frozen=True)
class Clock:
    """A clock as a line over another's: `offset_s + rate * time`.

    Attributes:
        offset_s: reading of the ego's clock at the other's zero.
        rate: seconds of the ego's clock in one of the other's.
        n_messages: messages that it rests on.
    """

    offset_s: float = 0.0
    rate: float = 1.0
    n_messages: int = 0

    def to_ego(self, time_s: Floats) -> Floats:
        """Returns times of the other clock as the ego's."""
        return self.offset_s + self.rate * time_s

    @property
    def drift_ppm(self) -> float:
        """How much slower the other clock runs than the ego's, in parts in a million."""
        return 1e6 * (self.rate - 1)


def fit_clock(sent_s: Floats, heard_s: Floats) -> Clock | None:
    """Returns the clock of a sender, or None if there are too few messages.

    Args:
        sent_s: (n,) sending times by the sender's clock.
        heard_s: (n,) hearing times by the ego's clock.
    """
    known = np.isfinite(sent_s) & np.isfinite(heard_s)
    sent_s, heard_s = sent_s[known], heard_s[known]
    if len(sent_s) < LEAST_MESSAGES:
        return None
    late_s = heard_s - sent_s
    middle = np.median(sent_s)
    slope = 0.0
    if np.ptp(sent_s) >= DRIFT_FROM_S:
        slope = float(np.median(_slopes(sent_s, late_s)))
    straight = late_s - slope * (sent_s - middle)
    good = np.abs(straight - np.median(straight)) < MOST_LATENCY_S
    sent_s, late_s = sent_s[good], late_s[good]
    if np.ptp(sent_s) < DRIFT_FROM_S:
        return Clock(float(late_s.min()), 1.0, len(sent_s))
    x, y = _window_minima(sent_s, late_s)
    slope, level = _line_below(x, y, float(np.mean(sent_s)))
    return Clock(level, 1.0 + slope, len(sent_s))


def _slopes(x: Floats, y: Floats) -> Floats:
    """Returns slopes between points of the first and the second half: their median is robust (Siegel, 1982)."""
    order = np.argsort(x, kind="stable")
    half = len(x) // 2
    first, second = order[:half], order[-half:]
    return (y[second] - y[first]) / np.maximum(x[second] - x[first], 1e-9)


def _window_minima(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    window = np.floor((x - x.min()) / WINDOW_S).astype(int)
    order = np.lexsort((y, window))
    first = np.flatnonzero(np.diff(window[order], prepend=-1))
    return x[order][first], y[order][first]


def _line_below(x: Floats, y: Floats, at: float) -> tuple[float, float]:
    """Returns slope and level at 0 of the line below all points that is highest at `at`: an edge of their hull."""
    hull: list[int] = []
    for point in np.argsort(x, kind="stable").tolist():
        while len(hull) > 1 and _turns_down(x, y, hull[-2], hull[-1], point):
            hull.pop()
        hull.append(point)
    places = x[hull]
    right = int(np.clip(np.searchsorted(places, at), 1, len(hull) - 1))
    a, b = hull[right - 1], hull[right]
    slope = (y[b] - y[a]) / (x[b] - x[a])
    return float(slope), float(y[a] - slope * x[a])


def _turns_down(x: Floats, y: Floats, a: int, b: int, c: int) -> bool:
    return bool((x[b] - x[a]) * (y[c] - y[a]) <= (y[b] - y[a]) * (x[c] - x[a]))
