"""A sum of floats that is the same on every Python."""

from collections.abc import Iterable


def add_in_order(values: Iterable[float]) -> float:
    """Returns the sum of values, added from the first to the last.

    From Python 3.12 on, the built-in `sum` corrects its rounding errors: with it, the same seed would give different
    datasets on Python 3.11 and 3.12.
    """
    total = 0.0
    for value in values:
        total += value
    return total
