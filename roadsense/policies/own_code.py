"""Policies in the user's own code: a function of an observation, or an object with `predict`."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.policies.guard import Predicts, guard
from roadsense.policies.sb3_classes import NO_MEMORY
from roadsense.utils.own_code import find_own


class OwnPolicy(Predicts):
    """A policy of the user's own, asked for one action after the other. It pickles as what it was made from.

    Args:
        given: function of one observation, without a batch axis, that returns a number from 0 to 1; or an object whose
            `predict(observation)` returns such a number, or a tuple of it and None, as in Stable-Baselines3.
        reference: `module:name` where it is found; empty if it is only an object.

    Raises:
        InputError: if it is neither.
    """

    def __init__(self, given: Any, reference: str = ""):
        self._given, self._reference = given() if isinstance(given, type) else given, reference
        self._name = reference or type(self._given).__name__
        self._ask = _find_method(self._given, self._name)

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1), or for one, shape (1,).

        Raises:
            InputError: if an answer is no number from 0 to 1, or comes with a state.
        """
        n = len(observation["ego"])
        answers = [self._ask({name: values[row] for name, values in observation.items()}) for row in range(n)]  # type: ignore[index]
        return np.array([self._check(answer) for answer in answers], np.float32).reshape(n, 1)

    def _check(self, answer: Any) -> float:
        if isinstance(answer, tuple):
            answer, *states = answer
            if any(state is not None for state in states):
                raise InputError(f"{self._name}: {NO_MEMORY}")
        values = np.ravel(answer)
        if values.size != 1 or values.dtype.kind not in "biuf" or not 0 <= values[0] <= 1:
            raise InputError(f"{self._name}: expected an action of one number from 0 to 1, got {answer!r}. Clip it.")
        return float(values[0])

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (load_own, (self._reference,)) if self._reference else (OwnPolicy, (self._given,))


def _find_method(given: Any, name: str) -> Callable[[Any], Any]:
    method = getattr(given, "predict", None) or given
    if not callable(method):
        raise InputError(
            f"{name}: expected a function of an observation, or an object with predict(observation), got {given!r}."
        )
    try:
        names = inspect.signature(method).parameters
    except (TypeError, ValueError):  # a function in C
        return method
    return (lambda seen: method(seen, deterministic=True)) if "deterministic" in names else method


def load_own(reference: str) -> OwnPolicy:
    """Returns the policy `module:name`; importing the module runs its code.

    Raises:
        InputError: if there is no such module or name, or it is no policy.
    """
    return OwnPolicy(find_own(reference), reference)
