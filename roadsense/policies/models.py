"""Opens Stable-Baselines3 models: PPO, SAC or TQC over the environment's spaces, without running code in the file.

A zip of Stable-Baselines3 holds pickles, and opening a pickle runs the code in it. So only two parts are read: settings
in plain JSON, which are checked, and weights, from which torch reads only tensors. The network is then built again from
them.
"""

import hashlib
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from gymnasium import spaces

from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import RunError
from roadsense.utils.files import read_checked

ACTION_SPACE = spaces.Box(0.0, 1.0, (1,), np.float32)
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    RuntimeError,
    UnpicklingError,
    EOFError,
    zipfile.BadZipFile,
)
"""Errors of reading a zip that holds no model."""
NOT_UNPICKLED: dict[str, Any] = {
    "learning_rate": 0.0,
    "lr_schedule": float,
    "clip_range": 0.2,
    "buffer_size": 1,
}
"""Values that replace the zip's pickled learning settings: earlier versions pickled functions of the training."""
MAX_PART_BYTES = 200 * 2**20
"""Largest unpacked size of a part of the zip."""
MAX_WIDTH, MAX_LAYERS = 4096, 16
DEEP_SETS = "<class 'roadsense.policies.deep_sets.DeepSetsExtractor'>"
ACTIVATIONS = {f"<class 'torch.nn.modules.activation.{name}'>": name for name in ("ReLU", "Tanh")}
LIBRARIES = ("stable_baselines3.", "sb3_contrib.")
PPO_MODULES = ("stable_baselines3.common.policies", "stable_baselines3.ppo.")
NOT_FOR_ACTING = {"optimizer_class", "optimizer_kwargs", ":type:", ":serialized:"}
"""Settings of a policy that have no effect when it acts."""


def load_model(path: Path, trust: bool = False) -> Any:
    """Returns the PPO, SAC or TQC model in a Stable-Baselines3 zip, on the CPU, for acting but not for learning.

    It may take the environment's observation, or the same flattened by Gymnasium's `FlattenObservation`.

    Args:
        path: path of the zip, which must match its SHA-256 if that was noted beside it.
        trust: whether Stable-Baselines3 may open it, which runs the code in it; its SHA-256 is printed.

    Raises:
        RunError: if it cannot be read as a model, or is not made for the spaces of the environment.
        InputError: if it was changed since it was made.
    """
    if not path.is_file():
        raise RunError(f"Expected a policy in {path}, found none. Train one with `roadsense train`.")
    content = read_checked(path)
    kind = find_model_class(content)
    try:
        model = _load_trusted(kind, path, content) if trust else _rebuild(kind, content)
    except UNREADABLE as error:
        advice = "" if trust else " If you trust whoever made it, evaluate it with --trust, which runs the code in it."
        raise RunError(
            f"{path}: expected a {kind.__name__} policy of Stable-Baselines3 ({error}). Train it again.{advice}"
        ) from error
    got = model.observation_space, model.action_space
    known = observation_space()
    if got[0] not in (known, spaces.flatten_space(known)) or got[1] != ACTION_SPACE:
        raise RunError(f"{path}: expected a policy over {known} and {ACTION_SPACE}, got {got}. Train it again.")
    model.policy.set_training_mode(False)
    return model


def find_model_class(content: bytes) -> Any:
    """Returns SAC or TQC if a zip's content belongs to one of them, else PPO.

    Raises:
        RunError: if it belongs to another algorithm of Stable-Baselines3.
    """
    try:
        module = str(_read_settings(content)["policy_class"]["__module__"])
    except UNREADABLE:
        module = ""  # loading it raises the error
    if module.startswith("sb3_contrib.tqc."):
        from sb3_contrib import TQC

        return TQC
    if module.startswith("stable_baselines3.sac."):
        from stable_baselines3 import SAC

        return SAC
    if module.startswith(LIBRARIES) and not module.startswith(PPO_MODULES):
        raise RunError(f"Expected a policy of PPO, SAC or TQC, got one of {module}. Train it with one of these.")
    from stable_baselines3 import PPO

    return PPO


def _load_trusted(kind: Any, path: Path, content: bytes) -> Any:
    sys.stderr.write(f"Running the code in {path} (sha256 {hashlib.sha256(content).hexdigest()}).\n")
    return kind.load(io.BytesIO(content), device="cpu", custom_objects=NOT_UNPICKLED)


def _rebuild(kind: Any, content: bytes) -> Any:
    """Returns a model whose network is built from checked settings and filled with the weights of the zip."""
    import torch

    settings = _read_settings(content)
    weights = torch.load(io.BytesIO(_read_part(content, "policy.pth")), map_location="cpu", weights_only=True)
    space = _find_space(settings)
    name = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
    sizes = {"n_steps": 2, "batch_size": 2} if kind.__name__ == "PPO" else {"buffer_size": 1, "target_entropy": -1.0}
    model = kind(name, None, device="cpu", policy_kwargs=_read_network(settings), _init_setup_model=False, **sizes)
    model.observation_space, model.action_space, model.n_envs = space, ACTION_SPACE, 1
    model._setup_model()
    model.policy.load_state_dict(weights)
    return model


def _read_settings(content: bytes) -> dict[str, Any]:
    settings = json.loads(_read_part(content, "data"))
    if not isinstance(settings, dict):
        raise ValueError("its settings are no JSON object")
    return settings


def _read_part(content: bytes, name: str) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive, archive.open(name) as part:
        read = part.read(MAX_PART_BYTES + 1)
    if len(read) > MAX_PART_BYTES:
        raise ValueError(f"{name} has more than {MAX_PART_BYTES} bytes")
    return read


def _find_space(settings: Mapping[str, Any]) -> spaces.Space:
    known = observation_space()
    for space in (known, spaces.flatten_space(known)):
        if _fits(space, settings["observation_space"]) and _fits(ACTION_SPACE, settings["action_space"]):
            return space
    got = [settings[name].get("spaces", settings[name].get("_shape")) for name in ("observation_space", "action_space")]
    raise ValueError(f"expected a policy over {known} and {ACTION_SPACE}, got {got}")


def _fits(space: spaces.Space, described: Mapping[str, Any]) -> bool:
    """Returns whether Stable-Baselines3's description of a space matches this one."""
    names = ("spaces",) if isinstance(space, spaces.Dict) else ("low", "high", "dtype")
    return all(str(described.get(name)).split() == str(getattr(space, name)).split() for name in names)


def _read_network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the checked arguments of the policy's network."""
    from torch import nn

    from roadsense.policies.deep_sets import DeepSetsExtractor

    if settings.get("use_sde"):
        raise ValueError("its exploration depends on the state (use_sde)")
    network: dict[str, Any] = {}
    for name, value in settings["policy_kwargs"].items():
        if name == "features_extractor_class" and value == DEEP_SETS:
            network[name] = DeepSetsExtractor
        elif name == "features_extractor_kwargs" and value.keys() <= {"n_units", "sees_ego"}:
            network[name] = {"n_units": _check_width(value.get("n_units", 32)), "sees_ego": bool(value.get("sees_ego"))}
        elif name == "activation_fn" and value in ACTIVATIONS:
            network[name] = getattr(nn, ACTIVATIONS[value])
        elif name == "net_arch":
            network[name] = _check_layers(value)
        elif name in ("n_critics", "n_quantiles"):
            network[name] = _check_width(value)
        elif name == "log_std_init" and isinstance(value, int | float):
            network[name] = float(value)
        elif not (name in NOT_FOR_ACTING or (name == "use_sde" and value is False)):
            raise ValueError(f"its network has a part that is not known: {name} {value!r}")
    return network


def _check_layers(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() <= {"pi", "vf", "qf"}:
        return {name: _check_layers(widths) for name, widths in value.items()}
    if not isinstance(value, list) or len(value) > MAX_LAYERS:
        raise ValueError(f"expected the widths of at most {MAX_LAYERS} layers, got {value!r}")
    return [_check_width(width) for width in value]


def _check_width(value: Any) -> int:
    if not isinstance(value, int) or not 1 <= value <= MAX_WIDTH:
        raise ValueError(f"expected a width from 1 to {MAX_WIDTH}, got {value!r}")
    return value


def as_model_input(model: Any, observation: Observation) -> Any:
    """Returns a batch of observations in the model's format: by name, or flattened in the order of the space."""
    if isinstance(model.observation_space, spaces.Dict):
        return dict(observation.items())
    n = len(observation["ego"])
    return np.concatenate([observation[name].reshape(n, -1) for name in observation_space()], axis=1)  # type: ignore[literal-required]
