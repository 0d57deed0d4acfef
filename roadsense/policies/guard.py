"""How every policy takes observations: one or a batch, and no braking where one is impossible, which is counted.

NaN, infinity and values beyond the bounds of the observation come from a defect in a sensor or in a program, never from
the road. A policy cannot know what to do then, so the car is left to its driver.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import BOUND, Observation
from roadsense.errors import InputError

_NAMES = Observation.__annotations__.keys()
refused: Counter[str] = Counter()
"""Number of such observations in this process, by the policy's class."""


def guard(act: Callable[[Any, Observation], NDArray[np.float32]]) -> Callable[[Any, Observation], NDArray[np.float32]]:
    """Makes the `__call__` of a policy return 0 for each impossible observation, and count it in `refused`.

    It also takes one observation without the batch axis, and then returns one action, shape (1,). Anything else is an
    `InputError`.
    """

    @wraps(act)
    def _act(policy: Any, observation: Observation) -> NDArray[np.float32]:
        if not isinstance(observation, Mapping) or not _NAMES <= observation.keys():
            got = sorted(observation) if isinstance(observation, Mapping) else type(observation).__name__
            raise InputError(f"Expected an observation with {', '.join(sorted(_NAMES))}, got {got}.")
        if np.ndim(observation["ego"]) == 1:
            return _act(policy, take_alone(observation))[0]
        is_right = find_right(observation)
        if is_right.all():
            return act(policy, observation)
        refused[type(policy).__name__] += int((~is_right).sum())
        actions = np.zeros((len(is_right), 1), np.float32)
        if is_right.any():
            rows = {name: values[is_right] for name, values in observation.items()}  # type: ignore[index]
            actions[is_right] = act(policy, Observation(**rows))  # type: ignore[typeddict-item]
        return actions

    return _act


class Predicts:
    """Gives a policy the method by which Stable-Baselines3 and most other libraries ask for actions."""

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = True
    ) -> tuple[NDArray[np.float32], None]:
        """Returns the action for one observation, or one for each of a batch, and no state: no policy has a memory.

        The other arguments have no effect; they are those of Stable-Baselines3.
        """
        return self(observation), None  # type: ignore[operator]


def take_alone(observation: Mapping[str, Any]) -> Observation:
    """Returns a batch of one observation."""
    return Observation(**{name: np.asarray(values)[None] for name, values in observation.items()})  # type: ignore[typeddict-item]


def find_right(observation: Observation) -> NDArray[np.bool_]:
    """Returns which observations of a batch have finite values within the bounds and masks of 0 or 1, shape (n,).

    Exported C has the same check: `roadsense_is_valid` in `observation.h`.
    """
    mask = observation["peer_mask"]
    largest = np.maximum(np.abs(observation["ego"]).max(axis=-1), np.abs(observation["peers"]).max(axis=(-2, -1)))
    return (largest <= BOUND) & ((mask == 0) | (mask == 1)).all(axis=-1)
