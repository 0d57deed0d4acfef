"""Bounds of settings: each field declares its own, and one function checks them for every settings class."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from roadsense.errors import InputError

_BOUNDS = "bounds"
MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Stable-Baselines3 take."""
MAX_WORKERS = 512
"""Largest number of worker processes; each takes about 130 MB."""


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest allowed value of a setting; `math.inf` for no limit."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"of at least {self.low:g}" if self.high == math.inf else f"from {self.low:g} to {self.high:g}"


def bounded(default: Any, low: float, high: float = math.inf) -> Any:
    """Returns a dataclass field with bounds, for `check_bounds`. An int default requires whole numbers."""
    return field(default=default, metadata={_BOUNDS: Bounds(low, high)})


def check_bounds(settings: Any) -> None:
    """Checks every number of a dataclass: each against its bounds, none NaN.

    Raises:
        InputError: naming the setting, its range and the value.
    """
    for each in fields(settings):
        value, bounds = getattr(settings, each.name), each.metadata.get(_BOUNDS)
        if bounds is not None:
            kind = "a whole number" if isinstance(each.default, int) else "a number"
            if not _is_number(value, each.default) or not bounds.low <= value <= bounds.high:
                raise InputError(f"Expected {each.name} to be {kind} {bounds}, got {value!r}.")
        elif isinstance(value, float) and math.isnan(value):
            raise InputError(f"Expected {each.name} to be a number, got {value!r}.")


def _is_number(value: Any, default: Any) -> bool:
    kinds = int if isinstance(default, int) else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool)
