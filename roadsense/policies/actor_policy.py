"""Acting networks in plain NumPy, for processes that drive but do not learn: no torch.

At this size the overhead of a NumPy call is larger than its arithmetic. So there are few calls: a bias is the weight of
one more unit that is always 1 (for a peer it is the peer's mask, so a peer that is not heard gives 0), and every array
is allocated once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.policies.actor import RELU, TANH, Actor, Layer, UnknownNetworkError
from roadsense.policies.guard import Predicts, guard

_STAYS_ONE = {TANH: 20.0, RELU: 1.0}
"""Weight of the unit that is always 1, so that it is still 1 after the activation."""

_Step = tuple[NDArray[np.float32], str, NDArray[np.float32], NDArray[np.float32]]


class ActorPolicy:
    """The mean action of an `Actor`, before it is cut to the action's bounds.

    It equals the network that it was read from up to the rounding of float32; its results repeat exactly.

    Args:
        actor: network for actions of one number.

    Raises:
        InputError: if its network over peers does not end in ReLU.
    """

    def __init__(self, actor: Actor):
        if actor.peer_layers[-1].activation != RELU:
            raise InputError(f"Expected a peer network that ends in {RELU}, got {actor.peer_layers[-1].activation}.")
        n_peers, n_fields = actor.shapes["peers"]
        n_ego, n_units = actor.shapes["ego"][0], actor.peer_layers[-1].bias.size
        n_beside = n_ego if actor.sees_ego else 0
        self._seen = np.zeros((n_peers, n_beside + n_fields + 1), np.float32)
        self._beside, self._peers = self._seen[:, :n_beside], self._seen[:, n_beside:-1]
        self._mask = self._seen[:, -1:]
        self._peer_layers = _prepare(actor.peer_layers, (n_peers,))
        self._halves = _prepare_halves(self._peer_layers[-1][2])
        self._features = np.ones(n_ego + n_units + 1, np.float32)
        self._ego, self._heard = self._features[:n_ego], self._features[n_ego:-1]
        self._policy_layers = _prepare(actor.policy_layers, ())
        self._nothing = np.zeros(n_units, np.float32)

    def __call__(self, observation: Mapping[str, Any]) -> float:
        """Returns the mean for one observation of the environment, in which peers that are not heard are rows of 0."""
        self._peers[:] = observation["peers"]
        self._mask[:, 0] = observation["peer_mask"]
        self._ego[:] = observation["ego"]
        if self._beside.size:
            np.multiply(self._mask, self._ego, out=self._beside)
        heard = _run(self._peer_layers, self._seen)
        for one, other, larger in self._halves:
            heard = np.maximum(one, other, out=larger)
        np.maximum(heard[0], self._nothing, out=self._heard)
        return float(_run(self._policy_layers, self._features).item())


class NumpyActor(Predicts):
    """A trained policy without torch; it equals the network up to the rounding of float32. It pickles as its weights.

    Args:
        actor: network of the policy, see `read_actor`.

    Raises:
        UnknownNetworkError: if it is not over Deep Sets with an output that is cut to the action's bounds, as PPO's is.
    """

    def __init__(self, actor: Actor):
        if not actor.peer_layers or actor.is_squashed:
            raise UnknownNetworkError(
                "Expected Deep Sets with an output that is cut, got another network. Run it by its library."
            )
        self._actor, self._policy = actor, ActorPolicy(actor)

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1), or for one, shape (1,)."""
        seen = zip(observation["ego"], observation["peers"], observation["peer_mask"], strict=True)
        means = [self._policy({"ego": ego, "peers": peers, "peer_mask": mask}) for ego, peers, mask in seen]
        return np.clip(np.array(means, np.float32)[:, None], self._actor.low, self._actor.high)

    def __reduce__(self) -> tuple[Any, tuple[Actor]]:
        return NumpyActor, (self._actor,)


def _prepare(layers: Sequence[Layer], lead: tuple[int, ...]) -> list[_Step]:
    """Returns, for each layer, its weights with the bias below, its activation, and an array for its output."""
    steps = []
    for place, layer in enumerate(layers):
        is_last = place == len(layers) - 1
        # The last layer's activation follows after the maximum over the peers, which for ReLU gives the same.
        weight, activation = np.vstack([layer.weight, layer.bias]), "" if is_last else layer.activation
        if not is_last:
            always_one = np.zeros((len(weight), 1))
            always_one[-1] = _STAYS_ONE.get(layer.activation, 1.0)
            weight = np.hstack([weight, always_one])
        out = np.empty((*lead, weight.shape[1]), np.float32)
        steps.append((weight.astype(np.float32), activation, out, np.zeros_like(out)))
    return steps


def _prepare_halves(values: NDArray[np.float32]) -> list[tuple[NDArray[np.float32], ...]]:
    """Returns the halves to compare until one row is left, with an array for the maximum; halves may share a row."""
    halves: list[tuple[NDArray[np.float32], ...]] = []
    while len(values) > 1:
        n_rows = (len(values) + 1) // 2
        halves.append((values[:n_rows], values[-n_rows:], np.empty_like(values[:n_rows])))
        values = halves[-1][2]
    return halves


def _run(steps: list[_Step], values: NDArray[np.float32]) -> NDArray[np.float32]:
    for weight, activation, out, zeros in steps:
        np.dot(values, weight, out)
        if activation == TANH:
            np.tanh(out, out=out)
        elif activation == RELU:
            np.maximum(out, zeros, out=out)
        values = out
    return values


_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {RELU: lambda values: np.maximum(values, 0), TANH: np.tanh}


class PlainActor(Predicts):
    """Any acting network without torch, equal to it up to the rounding of float32. It pickles as its weights.

    `NumpyActor` is faster, for the one kind of network that trainings make.

    Args:
        actor: network of the policy, see `read_actor`.
    """

    def __init__(self, actor: Actor):
        self._actor = actor

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1), or for one, shape (1,)."""
        actor, n = self._actor, len(observation["ego"])
        # One after the other: the rounding of a product of matrices depends on the number of rows.
        raw = [self._act({name: observation[name][row] for name in actor.shapes}) for row in range(n)]  # type: ignore[literal-required]
        values = np.array(raw, np.float32).reshape(n, 1)
        if actor.is_squashed:
            values = actor.low + (np.tanh(values) + 1) * (actor.high - actor.low) / 2
        return np.clip(values, actor.low, actor.high)

    def _act(self, seen: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        actor = self._actor
        if not actor.peer_layers:
            return _run_layers(actor.policy_layers, np.concatenate([seen[name].ravel() for name in actor.shapes]))
        ego, peers = seen["ego"], seen["peers"]
        beside = [np.tile(ego, (len(peers), 1))] if actor.sees_ego else []
        heard = _run_layers(actor.peer_layers, np.hstack([*beside, peers])) * seen["peer_mask"][:, None]
        return _run_layers(actor.policy_layers, np.concatenate([ego, heard.max(axis=0)]))


def _run_layers(layers: Sequence[Layer], values: Any) -> Any:
    for layer in layers:
        values = values @ layer.weight + layer.bias
        if layer.activation in _ACTIVATIONS:
            values = _ACTIVATIONS[layer.activation](values)
    return values
