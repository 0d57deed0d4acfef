"""The network that acts, read from a Stable-Baselines3 model: plain arrays, layer by layer."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.observation import N_PEER_FIELDS_OF, PEER_FIELDS, observation_space
from roadsense.errors import InputError


class UnknownNetworkError(InputError):
    """Raised for a network with parts that an `Actor` cannot hold."""


LINEAR, RELU, TANH = "linear", "relu", "tanh"


@dataclass(frozen=True)
class Layer:
    """One fully connected layer.

    Attributes:
        weight: weights of shape (inputs, outputs).
        bias: biases of shape (outputs,).
        activation: activation, `LINEAR`, `RELU` or `TANH`.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str = LINEAR


@dataclass(frozen=True)
class Actor:
    """The deterministic part of a policy: observation in, action out.

    Attributes:
        shapes: shapes of `ego`, `peers` and `peer_mask`, in the order in which a plain network takes them.
        peer_layers: layers of Deep Sets, run on each peer, or on `ego` and each peer side by side; their output times
            the mask, maximum over the peers, is placed beside `ego`. Empty for a plain network, which takes all inputs
            side by side.
        policy_layers: layers that run on the result.
        low: lower bounds of the action.
        high: upper bounds of the action.
        is_squashed: whether the last layer's output is squashed by tanh and spread over `low`..`high`, as SAC, TQC
            and TD3 do; else it is cut to them, as PPO does.
    """

    shapes: dict[str, tuple[int, ...]]
    peer_layers: tuple[Layer, ...]
    policy_layers: tuple[Layer, ...]
    low: NDArray[np.float32]
    high: NDArray[np.float32]
    is_squashed: bool = False

    def __post_init__(self) -> None:
        n_inputs = sum(int(np.prod(shape)) for shape in self.shapes.values())
        if self.peer_layers:
            n_ego, n_fields = self.shapes["ego"][0], self.shapes["peers"][1]
            n_inputs = n_ego + len(self.peer_layers[-1].bias)
            if len(self.peer_layers[0].weight) not in (n_fields, n_ego + n_fields):
                expected = f"a peer network of {n_fields} inputs, or of {n_ego} more"
                raise _refusal(expected, f"one of {len(self.peer_layers[0].weight)}")
        if n_inputs != len(self.policy_layers[0].weight):
            raise _refusal(f"a first layer of {n_inputs} inputs", f"one of {len(self.policy_layers[0].weight)}")

    @property
    def sees_ego(self) -> bool:
        """Whether the network over peers takes `ego` beside each of them."""
        return bool(self.peer_layers) and len(self.peer_layers[0].weight) > self.shapes["peers"][1]


def read_actor(model: Any) -> Actor:
    """Returns the acting network of a model, with any number and width of layers.

    Known are those of PPO, A2C and TRPO, of SAC and TQC, and of TD3 and DDPG.

    Raises:
        UnknownNetworkError: if it has a part that an `Actor` cannot hold; the message names the part.
        InputError: if a weight is NaN or infinite.
    """
    from stable_baselines3.common.policies import ActorCriticPolicy

    policy = model.policy
    extractor, layers, is_squashed = (
        _read_on_policy(policy)
        if isinstance(policy, ActorCriticPolicy)
        else _read_off_policy(getattr(policy, "actor", policy))
    )
    space = model.observation_space
    if not isinstance(space, spaces.Dict):
        known = [observation_space(version) for version in N_PEER_FIELDS_OF]
        space = next(one for one in known if spaces.flatten_space(one).shape == space.shape)
    return bring_up_to_date(
        Actor(
            shapes={name: space[name].shape for name in space},
            peer_layers=_read_peer_layers(extractor),
            policy_layers=layers,
            low=model.action_space.low,
            high=model.action_space.high,
            is_squashed=is_squashed,
        )
    )


def bring_up_to_date(actor: Actor) -> Actor:
    """Returns the actor that acts alike on today's observations: fields that it does not know have weights of 0."""
    n_peers, n_known = actor.shapes["peers"]
    n_new = len(PEER_FIELDS) - n_known
    if not n_new:
        return actor
    shapes = {**actor.shapes, "peers": (n_peers, len(PEER_FIELDS))}
    if actor.peer_layers:
        first = actor.peer_layers[0]
        wider = replace(first, weight=np.pad(first.weight, ((0, n_new), (0, 0))))
        return replace(actor, shapes=shapes, peer_layers=(wider, *actor.peer_layers[1:]))
    first, blocks, row = actor.policy_layers[0], [], 0
    for name, shape in actor.shapes.items():
        block = first.weight[row : row + int(np.prod(shape))]
        row += len(block)
        if name == "peers":
            block = np.pad(block.reshape(n_peers, n_known, -1), ((0, 0), (0, n_new), (0, 0)))
        blocks.append(block.reshape(-1, first.weight.shape[1]))
    wider = replace(first, weight=np.concatenate(blocks))
    return replace(actor, shapes=shapes, policy_layers=(wider, *actor.policy_layers[1:]))


def _read_on_policy(policy: Any) -> tuple[Any, tuple[Layer, ...], bool]:
    from stable_baselines3.common.distributions import DiagGaussianDistribution, StateDependentNoiseDistribution
    from stable_baselines3.common.torch_layers import MlpExtractor

    _expect(policy.mlp_extractor, "the policy's `mlp_extractor`", MlpExtractor)
    _expect(policy.action_dist, "the policy's `action_dist`", DiagGaussianDistribution, StateDependentNoiseDistribution)
    layers = _read_layers([*policy.mlp_extractor.policy_net, policy.action_net], "the policy network")
    return policy.pi_features_extractor, layers, bool(policy.squash_output)


def _read_off_policy(actor: Any) -> tuple[Any, tuple[Layer, ...], bool]:
    from stable_baselines3.common.distributions import SquashedDiagGaussianDistribution
    from stable_baselines3.td3.policies import Actor as DeterministicActor
    from torch import nn

    if type(actor) is DeterministicActor:
        *layers, last = actor.mu
        _expect(last, "the last part of the actor's network", nn.Tanh)
        return actor.features_extractor, _read_layers(layers, "the actor's network"), True
    if not hasattr(actor, "latent_pi"):
        raise _refusal("an actor of SAC, TQC, TD3 or DDPG", type(actor).__name__)
    _expect(actor.action_dist, "the actor's `action_dist`", SquashedDiagGaussianDistribution)
    return actor.features_extractor, _read_layers([*actor.latent_pi, actor.mu], "the actor's network"), True


def _read_peer_layers(extractor: Any) -> tuple[Layer, ...]:
    from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor
    from torch import nn

    from roadsense.policies.deep_sets import DeepSetsExtractor

    _expect(extractor, "the features extractor", DeepSetsExtractor, CombinedExtractor, FlattenExtractor)
    if type(extractor) is CombinedExtractor:
        for name, part in extractor.extractors.items():
            _expect(part, f"the features extractor's `{name}`", nn.Flatten)
    if type(extractor) is not DeepSetsExtractor:
        return ()
    layers = _read_layers(extractor.peer_network, "the peer network")
    if layers[-1].activation != RELU:
        raise _refusal("a peer network that ends in ReLU, so that 0 means nobody", layers[-1].activation)
    return layers


def _read_layers(modules: Iterable[Any], what: str) -> tuple[Layer, ...]:
    from torch import nn

    activations = {nn.ReLU: RELU, nn.Tanh: TANH}
    layers: list[Layer] = []
    for place, module in enumerate(modules):
        if type(module) is nn.Linear:
            bias = np.zeros(module.out_features, np.float32) if module.bias is None else _to_array(module.bias)
            layers.append(Layer(_to_array(module.weight).T.copy(), bias))
        elif type(module) in activations and layers and layers[-1].activation == LINEAR:
            layers[-1] = replace(layers[-1], activation=activations[type(module)])
        else:
            raise _refusal(
                "Linear layers, each with a ReLU or Tanh or nothing behind it", f"{module!r} as layer {place} of {what}"
            )
    return tuple(layers)


def _to_array(parameter: Any) -> NDArray[np.float32]:
    values = parameter.detach().cpu().numpy().astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(
            "Expected a policy with finite weights, got NaN or infinity. The training diverged: train again."
        )
    return values


def _expect(part: Any, what: str, *kinds: type) -> None:
    if type(part) not in kinds:
        raise _refusal(" or ".join(kind.__name__ for kind in kinds), f"{type(part).__name__} as {what}")


def _refusal(expected: str, got: str) -> UnknownNetworkError:
    return UnknownNetworkError(
        f"Only a network of known parts can be exported: expected {expected}, got {got}. Train one with layers of ReLU "
        "or Tanh, as PPO, SAC and TQC have them; every other command takes this one as it is."
    )
