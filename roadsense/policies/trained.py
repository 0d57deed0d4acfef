"""Trained policies as controllers: from Stable-Baselines3's zip, or from a `.tflite` file.

torch and the TFLite interpreter are imported when a policy is loaded: processes that run baselines stay small.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.policies.actor import load_model, read_actor
from roadsense.policies.controllers import Controller
from roadsense.policies.numpy_actor import NumpyActor
from roadsense.policies.tflite_policy import TflitePolicy

TFLITE_SUFFIX = ".tflite"


def load_controller(path: Path) -> Controller:
    """Returns the policy in a file as a controller: deterministic, on one core.

    Args:
        path: a `.tflite`, or the zip of a PPO, SAC or TQC policy.

    Raises:
        InputError: if it cannot be read, or takes other observations than the environment gives.
    """
    if path.suffix == TFLITE_SUFFIX:
        return TflitePolicy(path)
    off_policy = find_off_policy_class(path)
    return load_ppo(path) if off_policy is None else load_off_policy(path, off_policy)


def find_off_policy_class(path: Path) -> Any:
    """Returns SAC or TQC if the zip is of one of them, else None."""
    try:
        with zipfile.ZipFile(path) as archive:
            module = json.loads(archive.read("data"))["policy_class"]["__module__"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        return None  # whoever loads it says what is wrong
    if module.startswith("sb3_contrib.tqc."):
        from sb3_contrib import TQC

        return TQC
    if module.startswith("stable_baselines3.sac."):
        from stable_baselines3 import SAC

        return SAC
    return None


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
        return self._model.predict(observation, deterministic=True)[0]

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return load_controller, (self._path,)


def load_off_policy(path: Path, kind: Any) -> Controller:
    """Returns the policy of an SAC or TQC zip as a controller."""
    import torch

    torch.set_num_threads(1)
    return Sb3Policy(path, kind.load(path, device="cpu", custom_objects={"buffer_size": 1}))


def load_ppo(path: Path) -> Controller:
    """Returns the policy of a PPO zip as a controller; it gives what `predict(..., deterministic=True)` gives.

    A network of the usual parts is taken out and run without torch; any other is run by Stable-Baselines3.

    Raises:
        RunError: if it cannot be read, or takes other observations than the environment gives.
    """
    import torch

    torch.set_num_threads(1)
    model = load_model(path)
    try:
        return NumpyActor(read_actor(model))
    except InputError:  # of other parts
        model.policy.set_training_mode(False)
        return Sb3Policy(path, model)
