"""Policies in the user's own code: a function of an observation, or an object with `predict`."""

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError, RoadSenseError
from roadsense.policies.guard import Predicts, guard
from roadsense.policies.sb3_classes import NO_MEMORY
from roadsense.utils.own_code import FAULTS, find_own

ROUNDING = 1e-6
"""How far beyond 0 or 1 an answer may be, as that of a network in float32."""


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
        self._name = reference or (given if isinstance(given, type) else type(given)).__name__
        self._given, self._reference = _make(given, self._name) if isinstance(given, type) else given, reference
        self._ask = _find_method(self._given, self._name)

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1), or for one, shape (1,).

        Raises:
            InputError: if an answer is no number from 0 to 1, or comes with a state.
        """
        n = len(observation["ego"])
        rows = [{name: values[row] for name, values in observation.items()} for row in range(n)]  # type: ignore[index]
        with _named(self._name):
            answers = [self._ask(row) for row in rows]
        return np.array([self._check(answer) for answer in answers], np.float32).reshape(n, 1)

    def _check(self, answer: Any) -> float:
        if isinstance(answer, tuple):
            answer, *states = answer
            if any(state is not None and not _is_empty(state) for state in states):
                raise InputError(f"{self._name}: {NO_MEMORY}")
        if hasattr(answer, "detach"):  # a tensor of torch, of any kind
            answer = answer.detach().cpu().double().numpy()
        values = np.ravel(answer)
        if values.size != 1 or values.dtype.kind not in "biuf" or not -ROUNDING <= values[0] <= 1 + ROUNDING:
            raise InputError(f"{self._name}: expected an action of one number from 0 to 1, got {answer!r}. Clip it.")
        return min(max(float(values[0]), 0.0), 1.0)

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (load_own, (self._reference,)) if self._reference else (OwnPolicy, (self._given,))


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Turns an error of the user's code into one that names the policy, the error and its place."""
    try:
        yield
    except RoadSenseError:
        raise
    except FAULTS as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{name}: expected an answer to an observation, got {type(error).__name__}: {error} "
            f"({place.filename}, line {place.lineno}). ROADSENSE_DEBUG=1 shows the traceback of a command."
        ) from error


def _make(kind: type[Any], name: str) -> Any:
    with _named(name):
        return kind()


def _is_empty(state: Any) -> bool:
    return isinstance(state, list | tuple | dict) and not state  # as RLlib gives it for a policy without a memory


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
