"""Parity: the differences between an exported policy's actions and the trained one's, and their bounds.

Each file runs on LiteRT and on TFLite Micro. An action is a share of full braking: 0.01 of it is 0.08 m/s2.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import ExportError
from roadsense.exporting.micro import MicroPolicy, refuse_unknown_operators
from roadsense.policies.models import as_model_input
from roadsense.policies.tflite import TflitePolicy

FLOAT32, INT8 = "float32", "int8"
VARIANTS = (FLOAT32, INT8)
LITERT, MICRO = "LiteRT", "TFLite Micro"
TRAINED = "trained"


@dataclass(frozen=True)
class Bounds:
    """Largest differences of an action that an export accepts.

    Attributes:
        rms: largest root mean square of the difference.
        p99: largest 99th percentile of the difference without sign.
        max: largest difference.
    """

    rms: float
    p99: float
    max: float


@dataclass(frozen=True)
class Difference:
    """Differences of two policies' actions on the same observations, without sign.

    Attributes:
        rms: root mean square of the differences.
        p99: 99th percentile of the differences.
        max: largest difference.
    """

    rms: float
    p99: float
    max: float


def compare_actions(actions: NDArray[np.float32], expected: NDArray[np.float32]) -> Difference:
    """Returns the differences of actions, NaN if an action is NaN.

    Args:
        actions: actions to check, shape (n, 1), n from 1.
        expected: expected actions, of the same shape.
    """
    difference = np.abs(actions.astype(np.float64) - expected)
    return Difference(
        rms=float(np.sqrt(np.mean(difference**2))),
        p99=float(np.quantile(difference, 0.99)),
        max=float(difference.max()),
    )


def refuse_unequal(variant: str, differences: Mapping[str, Difference], bounds: Bounds, n_observations: int) -> None:
    """Checks the differences from the trained policy on every runtime.

    Args:
        variant: one of `VARIANTS`.
        differences: differences of the actions, by runtime.
        bounds: largest allowed differences.
        n_observations: number of observations behind the differences.

    Raises:
        ExportError: if a difference is above its bound, or NaN.
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


@dataclass(frozen=True)
class Evidence:
    """Actions of converted policies on recorded observations.

    Attributes:
        observations: observations with a leading batch axis.
        trained: actions of the trained policy, shape (n, 1).
        micro: actions of each exported policy on TFLite Micro, by variant.
        differences: differences from the trained policy's actions, by variant and runtime.
        between: differences between the two runtimes, by variant.
        n_within_bounds: number of observations on which the trained policy's action is not cut to a bound; only there
            can a difference show.
    """

    observations: Observation
    trained: NDArray[np.float32]
    micro: Mapping[str, NDArray[np.float32]]
    differences: Mapping[str, Mapping[str, Difference]]
    between: Mapping[str, Difference]
    n_within_bounds: int

    def describe(self, bounds: Mapping[str, Bounds]) -> dict[str, Any]:
        """Returns the part of a card about this evidence."""
        return {
            variant: {
                "n_observations": len(self.trained),
                "n_within_bounds": self.n_within_bounds,
                "bounds": asdict(bounds[variant]),
                "differences": {runtime: asdict(one) for runtime, one in self.differences[variant].items()},
                "between_runtimes": asdict(self.between[variant]),
            }
            for variant in self.micro
        }

    def table(self) -> pd.DataFrame:
        """Returns the action of each policy on each observation."""
        actions = {TRAINED: self.trained, **self.micro}
        return pd.DataFrame({name: values[:, 0] for name, values in actions.items()})


def gather_evidence(
    model: Any, paths: Mapping[str, Path], observations: Observation, bounds: Mapping[str, Bounds]
) -> Evidence:
    """Runs the trained and the exported policies on the same observations.

    Args:
        model: the trained policy.
        paths: paths of the exported files, by variant.
        observations: observations with a leading batch axis.
        bounds: largest allowed differences, by variant.

    Raises:
        ExportError: if a file has an operator TFLite Micro lacks, or actions differ by more than the bounds.
    """
    trained, _ = model.predict(as_model_input(model, observations), deterministic=True)
    micro, differences, between = {}, {}, {}
    for variant, path in paths.items():
        refuse_unknown_operators(path)
        policy = TflitePolicy(path)
        actions = policy(observations)
        micro[variant] = MicroPolicy(path, policy.input_names)(observations)
        differences[variant] = {
            LITERT: compare_actions(actions, trained),
            MICRO: compare_actions(micro[variant], trained),
        }
        between[variant] = compare_actions(micro[variant], actions)
        refuse_unequal(variant, differences[variant], bounds[variant], len(trained))
    space = model.action_space
    is_within = (trained > space.low) & (trained < space.high)
    return Evidence(observations, trained, micro, differences, between, int(is_within.sum()))


def refuse_changed(paths: Mapping[str, Path], evidence: Evidence) -> None:
    """Checks that files act as before, after something was written into them.

    Raises:
        ExportError: if a file acts differently.
    """
    for variant, path in paths.items():
        policy = MicroPolicy(path, TflitePolicy(path).input_names)
        if not np.array_equal(policy(evidence.observations), evidence.micro[variant]):
            raise ExportError(f"{path.name} acts otherwise since its card was written into it. Report this.")
