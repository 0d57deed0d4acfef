"""A trained policy as a controller without torch: the acting network over plain arrays."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy


class NumpyActor:
    """Gives what the network gives, to float32's rounding. It pickles as its weights: a process needs no torch for it.

    Args:
        actor: the network, see `read_actor`.

    Raises:
        InputError: if it is none over Deep Sets whose output is cut to the action's bounds, as PPO's is.
    """

    def __init__(self, actor: Actor):
        if not actor.peer_layers or actor.is_squashed:
            raise InputError(
                "Expected Deep Sets with an output that is cut, got another network. Run it by its library."
            )
        self._actor, self._policy = actor, ActorPolicy(actor)

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch, shape (n, 1)."""
        seen = zip(observation["ego"], observation["peers"], observation["peer_mask"], strict=True)
        means = [self._policy({"ego": ego, "peers": peers, "peer_mask": mask}) for ego, peers, mask in seen]
        return np.clip(np.array(means, np.float32)[:, None], self._actor.low, self._actor.high)

    def __reduce__(self) -> tuple[Any, tuple[Actor]]:
        return NumpyActor, (self._actor,)
