"""Trained policies as controllers: from Stable-Baselines3's zip, or from a `.tflite` file.

torch and the TFLite interpreter are imported when a policy is loaded: processes that run baselines stay small.
"""

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.policies.controllers import Controller
from roadsense.policies.models import as_model_input, find_model_class, load_model
from roadsense.policies.tflite_policy import TflitePolicy

TFLITE_SUFFIX = ".tflite"


def load_controller(path: Path) -> Controller:
    """Returns the policy in a file as a controller: deterministic, on one core.

    It gives what `predict(..., deterministic=True)` gives.

    Args:
        path: a `.tflite`, or the zip of a PPO, SAC or TQC policy.

    Raises:
        InputError: if it cannot be read, or takes other observations than the environment gives.
    """
    if path.suffix == TFLITE_SUFFIX:
        return TflitePolicy(path)
    if find_model_class(path).__name__ == "PPO":
        return load_ppo(path)
    return _control_by_predict(_load_on_one_core(path))


def load_ppo(path: Path) -> Controller:
    """Returns the policy of a PPO zip as a controller; it gives what `predict(..., deterministic=True)` gives.

    Raises:
        RunError: if it cannot be read, or takes other observations than the environment gives.
    """
    import torch

    model = _load_on_one_core(path)
    if model.policy.squash_output or not isinstance(model.observation_space, spaces.Dict):
        return _control_by_predict(model)
    policy, low, high = model.policy, model.action_space.low, model.action_space.high

    def _control(observation: Observation) -> NDArray[np.float32]:
        # The actor alone: `predict` builds a distribution as well and takes 2.4 times as long.
        with torch.inference_mode():
            tensors = {name: torch.as_tensor(values) for name, values in observation.items()}
            features = policy.extract_features(tensors, policy.pi_features_extractor)
            action = policy.action_net(policy.mlp_extractor.forward_actor(features))
        return np.clip(action.numpy(), low, high)

    return _control


def _control_by_predict(model: Any) -> Controller:
    return lambda observation: model.predict(as_model_input(model, observation), deterministic=True)[0]


def _load_on_one_core(path: Path) -> Any:
    import torch

    torch.set_num_threads(1)
    return load_model(path)
