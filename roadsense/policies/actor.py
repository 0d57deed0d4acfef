"""The network that acts, read from a Stable-Baselines3 model: plain arrays, layer by layer."""

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.observation import observation_space
from roadsense.errors import InputError, RunError

ACTION_SPACE = spaces.Box(0.0, 1.0, (1,), np.float32)
LINEAR, RELU, TANH = "linear", "relu", "tanh"


@dataclass(frozen=True)
class Layer:
    """One fully connected layer.

    Attributes:
        weight: (inputs, outputs).
        bias: (outputs,).
        activation: `LINEAR`, `RELU` or `TANH`.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str = LINEAR


@dataclass(frozen=True)
class Actor:
    """The deterministic part of a policy over `DeepSetsExtractor`: observation in, action out.

    Attributes:
        shapes: of `ego`, `peers` and `peer_mask`.
        peer_layers: run on each peer; their output times the mask, the largest over the peers, goes beside `ego`.
        policy_layers: run on that; their output is cut to `low`..`high`.
        low: lower bounds of the action.
        high: upper bounds.
    """

    shapes: dict[str, tuple[int, ...]]
    peer_layers: tuple[Layer, ...]
    policy_layers: tuple[Layer, ...]
    low: NDArray[np.float32]
    high: NDArray[np.float32]


def load_model(path: Path) -> Any:
    """Returns the PPO model in a Stable-Baselines3 zip, on the CPU.

    Raises:
        RunError: if it cannot be read as one, or is not made for the spaces of the environment.
    """
    from stable_baselines3 import PPO

    try:
        model = PPO.load(path, device="cpu")
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile) as error:
        raise RunError(f"{path}: expected a PPO policy of Stable-Baselines3 ({error}). Train it again.") from error
    got = model.observation_space, model.action_space
    if got != (observation_space(), ACTION_SPACE):
        raise RunError(f"{path}: expected a policy over {observation_space()} and {ACTION_SPACE}, got {got}.")
    return model


def read_actor(model: Any) -> Actor:
    """Returns the acting network of a PPO model.

    Args:
        model: with an `ActorCriticPolicy`, whatever the number and width of its layers.

    Raises:
        InputError: if a part of it is none of those an `Actor` is made of.
    """
    from stable_baselines3.common.distributions import DiagGaussianDistribution
    from stable_baselines3.common.torch_layers import MlpExtractor

    from roadsense.policies.deep_sets import DeepSetsExtractor

    policy = model.policy
    extractor = policy.pi_features_extractor
    for part, expected in (
        (extractor, DeepSetsExtractor),
        (policy.mlp_extractor, MlpExtractor),
        (policy.action_dist, DiagGaussianDistribution),
    ):
        if type(part) is not expected:
            raise _refusal(f"a {expected.__name__}", type(part).__name__)
    return Actor(
        shapes={name: model.observation_space[name].shape for name in ("ego", "peers", "peer_mask")},
        peer_layers=_read_layers(extractor.peer_network),
        policy_layers=_read_layers([*policy.mlp_extractor.policy_net, policy.action_net]),
        low=model.action_space.low,
        high=model.action_space.high,
    )


def _read_layers(modules: Iterable[Any]) -> tuple[Layer, ...]:
    from torch import nn

    activations = {nn.ReLU: RELU, nn.Tanh: TANH}
    layers: list[Layer] = []
    for module in modules:
        if type(module) is nn.Linear:
            layers.append(Layer(_to_array(module.weight).T.copy(), _to_array(module.bias)))
        elif type(module) in activations and layers and layers[-1].activation == LINEAR:
            layers[-1] = replace(layers[-1], activation=activations[type(module)])
        else:
            raise _refusal("Linear layers, each with a ReLU or Tanh or nothing behind it", repr(module))
    return tuple(layers)


def _to_array(parameter: Any) -> NDArray[np.float32]:
    return parameter.detach().cpu().numpy().astype(np.float32)


def _refusal(expected: str, got: str) -> InputError:
    return InputError(f"Only a network of known parts can be exported: expected {expected}, got {got}.")
