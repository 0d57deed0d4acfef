"""Stable-Baselines3 models from their zips: PPO, SAC or TQC, over the environment's spaces."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import RunError

ACTION_SPACE = spaces.Box(0.0, 1.0, (1,), np.float32)
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile)
"""What reading a zip that holds no model raises."""
NOT_UNPICKLED: dict[str, Any] = {
    "learning_rate": 0.0,
    "lr_schedule": float,
    "clip_range": 0.2,
    "buffer_size": 1,
}
"""Taken instead of what the zip pickles for learning: earlier versions pickled functions of the training's modules."""


def load_model(path: Path) -> Any:
    """Returns the PPO, SAC or TQC model in a Stable-Baselines3 zip, on the CPU, to act and not to learn.

    It may take the environment's observation, or the same flattened by Gymnasium's `FlattenObservation`.

    Raises:
        RunError: if it cannot be read as one, or is not made for the spaces of the environment.
    """
    kind = find_model_class(path)
    try:
        model = kind.load(path, device="cpu", custom_objects=NOT_UNPICKLED)
    except UNREADABLE as error:
        raise RunError(
            f"{path}: expected a {kind.__name__} policy of Stable-Baselines3 ({error}). Train it again."
        ) from error
    got = model.observation_space, model.action_space
    known = observation_space()
    if got[0] not in (known, spaces.flatten_space(known)) or got[1] != ACTION_SPACE:
        raise RunError(f"{path}: expected a policy over {known} and {ACTION_SPACE}, got {got}. Train it again.")
    model.policy.set_training_mode(False)
    return model


def find_model_class(path: Path) -> Any:
    """Returns SAC or TQC if the zip is of one of them, else PPO."""
    try:
        with zipfile.ZipFile(path) as archive:
            module = json.loads(archive.read("data"))["policy_class"]["__module__"]
    except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        module = ""  # whoever loads it says what is wrong
    if module.startswith("sb3_contrib.tqc."):
        from sb3_contrib import TQC

        return TQC
    if module.startswith("stable_baselines3.sac."):
        from stable_baselines3 import SAC

        return SAC
    from stable_baselines3 import PPO

    return PPO


def as_model_input(model: Any, observation: Observation) -> Any:
    """Returns a batch of observations as the model takes them: by name, or flattened in the order of the space."""
    if isinstance(model.observation_space, spaces.Dict):
        return dict(observation.items())
    n = len(observation["ego"])
    return np.concatenate([observation[name].reshape(n, -1) for name in observation_space()], axis=1)  # type: ignore[literal-required]
