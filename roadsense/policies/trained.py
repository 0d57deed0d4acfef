"""Trained policies as controllers: from Stable-Baselines3's zip, or from a `.tflite` file.

torch and the TFLite interpreter are imported when a policy is loaded: processes that run baselines stay small.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.policies.actor import read_actor
from roadsense.policies.models import as_model_input, load_model
from roadsense.policies.numpy_actor import NumpyActor
from roadsense.policies.rules import Policy
from roadsense.policies.tflite_policy import TflitePolicy

TFLITE_SUFFIX = ".tflite"


class Sb3Policy:
    """A policy that Stable-Baselines3 itself runs. It pickles as its path, so worker processes open it themselves.

    Args:
        path: the zip it came from.
        model: what was read from it.
    """

    def __init__(self, path: Path, model: Any):
        self._path, self._model = path, model

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the deterministic action for each observation of a batch, shape (n, 1)."""
        return self._model.predict(as_model_input(self._model, observation), deterministic=True)[0]

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return load_policy, (self._path,)


def load_policy(path: Path) -> Policy:
    """Returns the policy in a file as a controller: deterministic, on one core.

    It gives what `predict(..., deterministic=True)` gives. A network of the usual parts is taken out and run without
    torch; any other is run by Stable-Baselines3.

    Args:
        path: a `.tflite`, or the zip of a PPO, SAC or TQC policy.

    Raises:
        InputError: if it cannot be read, or takes other observations than the environment gives.
    """
    if path.suffix == TFLITE_SUFFIX:
        return TflitePolicy(path)
    import torch

    torch.set_num_threads(1)
    model = load_model(path)
    try:
        return NumpyActor(read_actor(model))
    except InputError:  # of other parts
        return Sb3Policy(path, model)
