"""How far the exported policy's actions are from the trained one's, and how far they may be.

An action is a share of full braking: 0.01 of it is 0.08 m/s2.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import ExportError

FLOAT32, INT8 = "float32", "int8"
VARIANTS = (FLOAT32, INT8)


@dataclass(frozen=True)
class Bounds:
    """Largest differences of an action that an export lets through.

    Attributes:
        rms: root of the mean squared difference.
        p99: 99th percentile of the difference without sign.
        max: largest difference.
    """

    rms: float
    p99: float
    max: float


@dataclass(frozen=True)
class Difference:
    """Differences of two policies' actions on the same observations, without sign.

    Attributes:
        rms: root of their mean square.
        p99: their 99th percentile.
        max: the largest.
    """

    rms: float
    p99: float
    max: float


def compare_actions(actions: NDArray[np.float32], expected: NDArray[np.float32]) -> Difference:
    """Returns the differences of actions, NaN if one of them is.

    Args:
        actions: shape (n, 1), n from 1.
        expected: the same shape.
    """
    difference = np.abs(actions.astype(np.float64) - expected)
    return Difference(
        rms=float(np.sqrt(np.mean(difference**2))),
        p99=float(np.quantile(difference, 0.99)),
        max=float(difference.max()),
    )


def refuse_unequal(variant: str, differences: Mapping[str, Difference], bounds: Bounds, n_observations: int) -> None:
    """Checks the differences to the trained policy on every runtime.

    Args:
        variant: one of `VARIANTS`.
        differences: by the runtime that gave the actions.
        bounds: what is let through.
        n_observations: on how many observations they were taken.

    Raises:
        ExportError: if one is beyond its bound, or not a number.
    """
    for runtime, difference in differences.items():
        for name in ("rms", "p99", "max"):
            got, allowed = getattr(difference, name), getattr(bounds, name)
            if not got <= allowed:
                raise ExportError(
                    f"Expected the {variant} policy within {allowed:g} of the trained one's actions ({name}), got a "
                    f"difference of {got:g} on {runtime} in {n_observations} observations. Nothing was kept."
                    + _advise(variant)
                )


def _advise(variant: str) -> str:
    return " Export with --no-int8, or set --int8_rms, --int8_p99 or --int8_max." if variant == INT8 else ""
