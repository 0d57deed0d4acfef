"""Numbers and names as C and C++ source."""

import numpy as np
from numpy.typing import ArrayLike

BYTES_A_LINE, FLOATS_A_LINE = 20, 8


def write_float(value: float | np.floating) -> str:
    """Returns a float literal that reads back as the same float32; NaN is `NAN` of `math.h`."""
    return "NAN" if np.isnan(value) else f"{np.float32(value)!s}f"


def write_floats(values: ArrayLike) -> str:
    """Returns the elements of an array initialiser, over several lines."""
    return _wrap([write_float(value) for value in np.asarray(values, np.float32).ravel()], FLOATS_A_LINE)


def write_bytes(content: bytes) -> str:
    """Returns the elements of a byte array's initialiser, over several lines."""
    return _wrap([str(value) for value in content], BYTES_A_LINE)


def camel_case(name: str) -> str:
    """Returns a constant's name: `peer_mask` as `PeerMask`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _wrap(items: list[str], per_line: int) -> str:
    return ",\n".join("    " + ", ".join(items[place : place + per_line]) for place in range(0, len(items), per_line))
