"""Opens models of Stable-Baselines3 and sb3-contrib over the environment's spaces, without running code in the file.

A zip of Stable-Baselines3 holds pickles, and opening a pickle runs the code in it. So only two parts are read: settings
in plain JSON, which are checked, and weights, from which torch reads only tensors. The network is then built again from
them.
"""

import hashlib
import importlib.util
import io
import json
import re
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from gymnasium import spaces

from roadsense.envs.observation import (
    KNOWN_VERSIONS,
    MAX_PEERS,
    N_PEER_FIELDS_OF,
    OBSERVATION_VERSION,
    Observation,
    observation_space,
)
from roadsense.errors import InputError, RunError
from roadsense.policies.normalised import refuse_normalised, was_normalised
from roadsense.policies.sb3_classes import NO_MEMORY, SIZES, find_model_class
from roadsense.utils.files import MISREAD, read_checked

ACTION_SPACE = spaces.Box(0.0, 1.0, (1,), np.float32)
UNREADABLE = (*MISREAD, UnpicklingError)
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
ACTIVATIONS = {
    f"<class 'torch.nn.modules.activation.{name}'>": name
    for name in ("ReLU", "Tanh", "ELU", "LeakyReLU", "GELU", "SiLU", "Sigmoid", "Softplus", "SELU", "Mish")
}
FLAGS = (
    "ortho_init",
    "share_features_extractor",
    "with_bias",
    "full_std",
    "use_expln",
    "squash_output",
    "normalize_images",
)
"""Settings of a network that are true or false."""
_PART = re.compile(r"'(\w+)'[:,] (Box\(.*?, float32\))")
"""Name and space of a part of a dictionary of spaces, as Gymnasium and its older versions write it."""
NOT_FOR_ACTING = {"optimizer_class", "optimizer_kwargs", "use_sde", ":type:", ":serialized:"}
"""Settings of a policy that have no effect when it acts."""


def load_model(path: Path, trust: bool = False) -> Any:
    """Returns the model in a zip of Stable-Baselines3, on the CPU, for acting but not for learning.

    It may be of PPO, A2C, SAC, TD3, DDPG, or of TRPO, TQC, CrossQ, ARS. It may take the environment's observation, or
    the same flattened by Gymnasium's `FlattenObservation`.

    Args:
        path: path of the zip, which must match its SHA-256 if that was noted beside it.
        trust: whether Stable-Baselines3 may open it, which runs the code in it; its SHA-256 is printed.

    Raises:
        RunError: if it cannot be read as a model, is not made for the spaces of the environment, or has a memory.
        InputError: if Stable-Baselines3 is not installed, or if the file was changed since it was made.
    """
    if not path.is_file():
        raise RunError(f"Expected a policy in {path}, found none. Train one with `roadsense train`.")
    if importlib.util.find_spec("stable_baselines3") is None:
        raise InputError(f"Opening {path} needs Stable-Baselines3. Install `roadsense[train]`.")
    content = read_checked(path)
    _refuse_run(content, path)
    settings = _try_settings(content)
    kind = find_model_class(settings)
    if settings:
        _find_space(settings, str(path))
        refuse_normalised(was_normalised(settings), str(path))
    try:
        model = _load_trusted(kind, path, content) if trust else _rebuild(kind, content)
    except UNREADABLE as error:
        advice = "" if trust else " If you trust whoever made it, open it with --trust, which runs the code in it."
        raise RunError(
            f"{path}: expected a policy of {kind.__name__} of Stable-Baselines3 that can be read ({error}). "
            f"Train it again.{advice}"
        ) from error
    check_spaces(model, str(path))
    model.policy.set_training_mode(False)
    return model


def check_spaces(model: Any, what: str) -> None:
    """Checks that a model takes the environment's observation, which tells its version, and gives its action.

    Args:
        model: a model of Stable-Baselines3.
        what: its name for the message.

    Raises:
        RunError: if it does not, or if it has a memory.
    """
    if model.observation_space not in _known_spaces() or model.action_space != ACTION_SPACE:
        raise _other_spaces(what, model.observation_space, model.action_space)
    normaliser = model.get_vec_normalize_env() if hasattr(model, "get_vec_normalize_env") else None
    refuse_normalised(normaliser is not None and normaliser.norm_obs, what)
    if hasattr(model.policy, "lstm_actor"):
        raise RunError(f"{what}: {NO_MEMORY}")


def _refuse_run(content: bytes, path: Path) -> None:
    """Says so if a zip holds not a policy but the folder of a run."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = next((name for name in archive.namelist() if Path(name).name == "model.zip"), None)
    if inside is not None:
        raise RunError(f"{path}: expected a policy, got a zip of a run, with {inside}. Unpack it and name its folder.")


def _try_settings(content: bytes) -> dict[str, Any]:
    try:
        return _read_settings(content)
    except UNREADABLE:
        return {}  # loading it raises the error


def _load_trusted(kind: Any, path: Path, content: bytes) -> Any:
    sys.stderr.write(f"Running the code in {path} (sha256 {hashlib.sha256(content).hexdigest()}).\n")
    return kind.load(io.BytesIO(content), device="cpu", custom_objects=NOT_UNPICKLED)


def _rebuild(kind: Any, content: bytes) -> Any:
    """Returns a model whose network is built from checked settings and filled with the weights of the zip."""
    import torch

    settings = _read_settings(content)
    weights = torch.load(io.BytesIO(_read_part(content, "policy.pth")), map_location="cpu", weights_only=True)
    space = _find_space(settings, "its spaces")
    name = "MultiInputPolicy" if isinstance(space, spaces.Dict) else "MlpPolicy"
    network, sizes = _read_network(settings), SIZES[kind.__name__]
    if kind.__name__ == "ARS" and "net_arch" not in network and "action_net.2.weight" not in weights:
        # Its LinearPolicy, whose settings are in its class.
        network |= {"net_arch": [], "with_bias": "action_net.0.bias" in weights, "squash_output": False}
    if settings.get("use_sde"):  # it changes the names of weights, not how the policy acts
        sizes = {**sizes, "use_sde": True}
    model = kind(name, None, device="cpu", policy_kwargs=network, _init_setup_model=False, **sizes)
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


def _known_spaces() -> list[spaces.Space]:
    """Returns the spaces of policies that still drive: of each version, by name or flattened."""
    known = [observation_space(version) for version in N_PEER_FIELDS_OF]
    return [*known, *(spaces.flatten_space(space) for space in known)]


def _find_space(settings: Mapping[str, Any], what: str) -> spaces.Space:
    """Returns the space of the observations, its parts in the order in which the network takes them."""
    seen, action = ({**_as_mapping(settings.get(name))} for name in ("observation_space", "action_space"))
    if _fits(ACTION_SPACE, action):
        parts = _PART.findall(str(seen.get("spaces")))
        for space in _known_spaces():
            if isinstance(space, spaces.Dict):
                if len(parts) == len(space) and dict(parts) == {name: str(part) for name, part in space.items()}:
                    return spaces.Dict(**{name: space[name] for name, _ in parts})
            elif _fits(space, seen):
                return space
    raise _other_spaces(what, *(_describe_space(one) for one in (seen, action)))


def _as_mapping(described: Any) -> Mapping[str, Any]:
    return described if isinstance(described, Mapping) else {}


def _fits(space: spaces.Space, described: Mapping[str, Any]) -> bool:
    """Returns whether Stable-Baselines3's description of a box matches this one."""
    names = ("low", "high", "dtype")
    return all(str(described.get(name)).split() == str(getattr(space, name)).split() for name in names)


def _describe_space(described: Mapping[str, Any]) -> str:
    """Returns a space in words, from Stable-Baselines3's description."""
    if "spaces" in described:
        return str(described["spaces"])
    kind = str(described.get(":type:", "nothing")).split(".")[-1].strip("'>")
    shape, bounds = described.get("_shape"), f" from {described.get('low')} to {described.get('high')}"
    return kind + (f" of shape {tuple(shape)}" if shape else "") + (bounds if shape == [1] else "")


def _other_spaces(what: str, seen: Any, action: Any) -> RunError:
    n_values = spaces.flatten_space(observation_space()).shape
    return RunError(
        f"{what}: expected a policy over {observation_space()}, or the same flattened to shape {n_values}, and one "
        f"action {ACTION_SPACE}, which is observation version {OBSERVATION_VERSION} (versions {KNOWN_VERSIONS} still "
        f"drive), got one over {seen} with the action {action}. Train it on the environment of RoadSense, without "
        "wrappers that change observations or actions."
    )


def _read_network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the checked arguments of the policy's network."""
    given = settings["policy_kwargs"].items()
    return {name: _check_setting(name, value) for name, value in given if name not in NOT_FOR_ACTING}


def _check_setting(name: str, value: Any) -> Any:
    from torch import nn

    from roadsense.policies.deep_sets import DeepSetsExtractor

    if name == "features_extractor_class" and value == DEEP_SETS:
        return DeepSetsExtractor
    if name == "features_extractor_kwargs" and value.keys() <= {"n_units", "sees_ego"}:
        return {"n_units": _check_width(value.get("n_units", 32)), "sees_ego": bool(value.get("sees_ego"))}
    if name == "activation_fn" and value in ACTIVATIONS:
        return getattr(nn, ACTIVATIONS[value])
    if name == "net_arch":
        return _check_layers(value)
    if name in ("n_critics", "n_quantiles"):
        return _check_width(value)
    if name in ("log_std_init", "clip_mean") and isinstance(value, int | float):
        return float(value)
    if name in FLAGS and isinstance(value, bool):
        return value
    raise ValueError(f"its network has a part that is not known: {name} {value!r}")


def _check_layers(value: Any) -> Any:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]  # as before version 1.8 of Stable-Baselines3
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
    """Returns a batch of observations in the model's format: by name, or flattened in the order of the space.

    A model of an earlier version gets the fields that it knows.
    """
    wanted, n = model.observation_space, len(observation["ego"])
    is_dict = isinstance(wanted, spaces.Dict)
    n_fields = wanted["peers"].shape[1] if is_dict else (wanted.shape[0] - observation["ego"].shape[1]) // MAX_PEERS - 1
    known: dict[str, Any] = {**observation, "peers": observation["peers"][..., :n_fields]}
    if is_dict:
        return known
    return np.concatenate([known[name].reshape(n, -1) for name in observation_space()], axis=1)
