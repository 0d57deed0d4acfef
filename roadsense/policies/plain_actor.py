"""Any acting network in plain NumPy, for processes that drive but do not learn: no torch.

`roadsense.policies.actor_policy` is faster, for the one kind of network that trainings make.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.policies.actor import RELU, TANH, Actor, Layer
from roadsense.policies.guard import Predicts, guard

_ACTIVATIONS: dict[str, Callable[[Any], Any]] = {RELU: lambda values: np.maximum(values, 0), TANH: np.tanh}


class PlainActor(Predicts):
    """A trained policy without torch; it equals the network up to the rounding of float32. It pickles as its weights.

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
            return _run(actor.policy_layers, np.concatenate([seen[name].ravel() for name in actor.shapes]))
        ego, peers = seen["ego"], seen["peers"]
        beside = [np.tile(ego, (len(peers), 1))] if actor.sees_ego else []
        heard = _run(actor.peer_layers, np.hstack([*beside, peers])) * seen["peer_mask"][:, None]
        return _run(actor.policy_layers, np.concatenate([ego, heard.max(axis=0)]))


def _run(layers: Sequence[Layer], values: Any) -> Any:
    for layer in layers:
        values = values @ layer.weight + layer.bias
        if layer.activation in _ACTIVATIONS:
            values = _ACTIVATIONS[layer.activation](values)
    return values
