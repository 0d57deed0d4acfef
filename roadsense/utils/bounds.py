"""Bounds of settings: each field declares its own, and one function checks them for every settings class."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from roadsense.errors import InputError
from roadsense.utils.values import convert, kinds_of

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
        low, high = (f"{end:.10g}" for end in (self.low, self.high))
        return f"of at least {low}" if self.high == math.inf else f"from {low} to {high}"


def bounded(default: Any, low: float, high: float = math.inf) -> Any:
    """Returns a dataclass field with bounds, for `check_bounds`. An int default requires whole numbers."""
    return field(default=default, metadata={_BOUNDS: Bounds(low, high)})


def check_bounds(settings: Any) -> None:
    """Reads every value of a frozen dataclass as its field holds it, and checks numbers: none NaN, each in its bounds.

    See `roadsense.utils.values.convert` for what is read, as `1e6` and `"1e6"` for a whole number.

    Raises:
        InputError: naming the setting, its kind and range, and the value.
    """
    kind: Any = type(settings)
    kinds = kinds_of(kind)
    for each in fields(settings):
        given, bounds = getattr(settings, each.name), each.metadata.get(_BOUNDS)
        given = "" if given is None and each.default == "" else given
        expected = f"{'a whole number' if isinstance(each.default, int) else 'a number'} {bounds}"
        try:
            value = convert(given, kinds[each.name])
        except ValueError as error:
            raise InputError(f"Expected {each.name} to be {expected if bounds else error}, got {given!r}.") from None
        if isinstance(value, float) and math.isnan(value):
            raise InputError(f"Expected {each.name} to be {expected if bounds else 'a number'}, got {given!r}.")
        if bounds is not None and not bounds.low <= value <= bounds.high:
            raise InputError(f"Expected {each.name} to be {expected}, got {given!r}.")
        if value is not getattr(settings, each.name):
            object.__setattr__(settings, each.name, value)
