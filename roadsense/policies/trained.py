"""Opens any policy: a run's, a zip of Stable-Baselines3, a `.tflite`, a rule, or one in the user's own code.

torch and the TFLite interpreter are imported only when a policy needs them: processes that run baselines stay small.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.policies.actor import UnknownNetworkError, read_actor
from roadsense.policies.actor_policy import NumpyActor, PlainActor
from roadsense.policies.guard import Predicts, guard
from roadsense.policies.models import as_model_input, check_spaces, load_model
from roadsense.policies.own_code import OwnPolicy, load_own
from roadsense.policies.rules import BASELINES, Policy
from roadsense.policies.source import find_policy
from roadsense.policies.tflite import TflitePolicy

TFLITE_SUFFIX = ".tflite"


class Sb3Policy(Predicts):
    """A policy that Stable-Baselines3 runs. It pickles as its path: each worker process opens the file.

    Args:
        path: path of the zip file; None for a model that is in no file, which pickles as itself.
        model: model in the zip file, or its `policy`.
        trust: whether opening it runs the code in it, see `load_policy`.
    """

    def __init__(self, path: Path | None, model: Any, trust: bool = False):
        self._path, self._model, self._trust = path, model, trust

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the deterministic action for each observation of a batch, shape (n, 1), or for one, shape (1,)."""
        return self._model.predict(as_model_input(self._model, observation), deterministic=True)[0]

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return (Sb3Policy, (None, self._model)) if self._path is None else (load_policy, (self._path, self._trust))


def load_policy(policy: Any, trust: bool = False) -> Policy:
    """Returns any policy as a function of observations: deterministic, on one core.

    Called with a batch of observations it returns an action for each, shape (n, 1); with a single one, shape (1,). Its
    method `predict(observation)` returns the same and None, as in Stable-Baselines3. A network of the usual parts runs
    without torch, any other in Stable-Baselines3.

    Args:
        policy: one of these:

            - folder of a run, or path of the zip of a policy of Stable-Baselines3 or sb3-contrib (PPO, A2C, SAC, TD3,
              DDPG, TRPO, TQC, CrossQ, ARS) over the environment's observation, or the same flattened
            - path of a `.tflite` file
            - `default`, the model that comes with the package
            - name of a rule, see `BASELINES`
            - `module:name` of a function or class of your own, see `roadsense.policies.own_code`
            - a function of one observation, an object with `predict(observation)`, a model of Stable-Baselines3
        trust: whether to run the code in a zip that cannot be opened otherwise, see `roadsense.policies.models`; its
            SHA-256 is printed.

    Raises:
        RunError: if a zip cannot be read, takes other observations than the environment's, or has a memory.
        InputError: if the same holds for a `.tflite`; if a weight is NaN or infinite; if a file is missing or was
            changed since it was made; or if it is no policy.

    Examples:
        >>> import roadsense as rs
        >>> policy = rs.load_policy("runs/first")
        >>> space = rs.ConvoyEnv(scenario_dir="scenarios/base").observation_space
        >>> observation = {name: 0 * values for name, values in space.sample().items()}  # nobody is heard
        >>> policy(observation).shape
        (1,)
        >>> rs.load_policy(lambda observation: 0.3).predict(observation)[0].item()
        0.30000001192092896
    """
    source = find_policy(policy)
    if source.kind == "rule":
        return BASELINES[source.text]
    if source.kind == "code":
        return load_own(source.text)
    if source.path is None:
        return _wrap(source.given)
    if source.path.suffix.lower() == TFLITE_SUFFIX:
        return TflitePolicy(source.path)
    _stay_on_one_core()
    model = load_model(source.path, trust)
    return _without_torch(model) or Sb3Policy(source.path, model, trust)


def _wrap(given: Any) -> Policy:
    if isinstance(given, Predicts):
        return given  # type: ignore[return-value]
    if hasattr(given, "observation_space") and hasattr(given, "policy"):  # a model of Stable-Baselines3
        check_spaces(given, type(given).__name__)
        return _without_torch(given) or Sb3Policy(None, given.policy)
    return OwnPolicy(given)


def _without_torch(model: Any) -> Policy | None:
    """Returns the policy of a model as arrays, or None if it has parts that only its library runs."""
    try:
        actor = read_actor(model)
        return NumpyActor(actor) if actor.peer_layers and not actor.is_squashed else PlainActor(actor)
    except UnknownNetworkError:
        return None


def _stay_on_one_core() -> None:
    try:
        import torch
    except ImportError:
        return  # `load_model` says so
    torch.set_num_threads(1)
