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
from roadsense.policies.actor import load_model
from roadsense.policies.controllers import Controller
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


def load_off_policy(path: Path, kind: Any) -> Controller:
    """Returns the policy of an SAC or TQC zip as a controller."""
    import torch

    torch.set_num_threads(1)
    model = kind.load(path, device="cpu", custom_objects={"buffer_size": 1})
    return lambda observation: model.predict(observation, deterministic=True)[0]


def load_ppo(path: Path) -> Controller:
    """Returns the policy of a PPO zip as a controller; it gives what `predict(..., deterministic=True)` gives.

    Raises:
        RunError: if it cannot be read, or takes other observations than the environment gives.
    """
    import torch

    torch.set_num_threads(1)
    model = load_model(path)
    policy, low, high = model.policy, model.action_space.low, model.action_space.high
    policy.set_training_mode(False)

    def _control(observation: Observation) -> NDArray[np.float32]:
        # The actor alone: `predict` builds a distribution as well and takes 2.4 times as long.
        with torch.inference_mode():
            tensors = {name: torch.as_tensor(values) for name, values in observation.items()}
            features = policy.extract_features(tensors, policy.pi_features_extractor)
            action = policy.action_net(policy.mlp_extractor.forward_actor(features))
        return np.clip(action.numpy(), low, high)

    return _control
