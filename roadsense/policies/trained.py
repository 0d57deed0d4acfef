"""Opens trained policies: Stable-Baselines3's zip, or a `.tflite` file.

torch and the TFLite interpreter are imported only when a policy is loaded: processes that run baselines stay small.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.policies.actor import UnknownNetworkError, read_actor
from roadsense.policies.actor_policy import NumpyActor
from roadsense.policies.guard import guard
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.rules import Policy
from roadsense.policies.tflite_policy import TflitePolicy
from roadsense.utils.workspace import resolve

TFLITE_SUFFIX = ".tflite"


class Sb3Policy:
    """A policy that Stable-Baselines3 runs. It pickles as its path: each worker process opens the file.

    Args:
        path: path of the zip file.
        model: model in the zip file.
        trust: whether opening it runs the code in it, see `load_policy`.
    """

    def __init__(self, path: Path, model: Any, trust: bool = False):
        self._path, self._model, self._trust = path, model, trust

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the deterministic action for each observation of a batch, shape (n, 1)."""
        return self._model.predict(as_model_input(self._model, observation), deterministic=True)[0]

    def __reduce__(self) -> tuple[Any, tuple[Path, bool]]:
        return load_policy, (self._path, self._trust)


def load_policy(path: str | Path, trust: bool = False) -> Policy:
    """Returns the policy in a file: deterministic, on one core.

    It acts as `predict(..., deterministic=True)` does. A network of the usual parts runs without torch, any other in
    Stable-Baselines3.

    Args:
        path: path of a `.tflite` file, or of the zip of a PPO, SAC or TQC policy.
        trust: whether to run the code in a zip that cannot be opened otherwise, see `roadsense.policies.models`.

    Raises:
        RunError: if a zip cannot be read, or takes other observations than the environment's.
        InputError: if the same holds for a `.tflite`; if a weight is NaN or infinite; or if the file was changed since
            it was made.

    Example:
        >>> import roadsense as rs
        >>> policy = rs.load_policy("runs/first/model.zip")
        >>> observation = rs.ConvoyEnv(scenario_dir="scenarios/base").observation_space.sample()
        >>> policy({name: values[None] for name, values in observation.items()}).shape
        (1, 1)
    """
    path = resolve(path)
    if path.suffix == TFLITE_SUFFIX:
        return TflitePolicy(path)
    import torch

    torch.set_num_threads(1)
    model = load_model(path, trust)
    try:
        return NumpyActor(read_actor(model))
    except UnknownNetworkError:
        return Sb3Policy(path, model, trust)
