"""Golden vectors: recorded observations and the actions expected on them, for the firmware's self-test."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import OBSERVATION_VERSION, Observation

N_GOLDEN = 20
FLOAT32_TOLERANCE = 1e-5
TOLERATED_STEPS = 2
"""Steps of the int8 action by which a processor's own kernels may differ from the reference kernels."""


def choose_golden(actions: NDArray[np.float32]) -> NDArray[np.intp]:
    """Returns the rows of `N_GOLDEN` observations, or of all if there are fewer, spread evenly over the actions.

    Args:
        actions: actions of the trained policy, shape (n, 1).
    """
    order = np.argsort(actions[:, 0], kind="stable")
    places = np.linspace(0, len(order) - 1, min(N_GOLDEN, len(order))).round().astype(np.intp)
    return np.sort(order[places])


def find_tolerance(output_step: float) -> float:
    """Returns the largest difference of a firmware's action from the golden one, for a policy with this output step."""
    return FLOAT32_TOLERANCE + TOLERATED_STEPS * output_step


def write_golden_json(
    observations: Observation, actions: Mapping[str, NDArray[np.float32]], tolerances: Mapping[str, float]
) -> str:
    """Returns golden vectors as JSON.

    Args:
        observations: observations with a leading batch axis.
        actions: actions of shape (n, 1), by policy.
        tolerances: largest allowed difference of an action, by exported policy.
    """
    content = {
        "observation_version": OBSERVATION_VERSION,
        "observations": {name: np.asarray(values).tolist() for name, values in observations.items()},
        "actions": {name: values[:, 0].tolist() for name, values in actions.items()},
        "tolerances": dict(tolerances),
    }
    return json.dumps(content) + "\n"
