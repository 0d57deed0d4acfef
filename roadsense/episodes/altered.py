"""Policies that see something else than their car does: what a result is due to, and what bad sensors do to it."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, Observation
from roadsense.policies.rules import Policy

_ACCELERATION = EGO_FIELDS.index("acceleration_mps2")


class OtherMessages:
    """A policy that hears the messages of another episode: any success it still has is not due to the messages.

    Args:
        policy: policy that acts.
        messages: observations of the other episode, step by step; after the last one the first follows.
    """

    def __init__(self, policy: Policy, messages: Sequence[Observation]):
        self._policy, self._messages = policy, cycle(messages)

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the policy's action on this car's own figures and the other episode's messages."""
        heard = next(self._messages)
        return self._policy(Observation(ego=observation["ego"], peers=heard["peers"], peer_mask=heard["peer_mask"]))


class NoisyAcceleration:
    """A policy that knows its own car's acceleration only with white noise, as a cheap accelerometer has it.

    Args:
        policy: policy that acts.
        std_mps2: standard deviation of the noise.
        seed: seed of the noise.
    """

    def __init__(self, policy: Policy, std_mps2: float, seed: int):
        self._policy, self._std_mps2, self._rng = policy, std_mps2, np.random.default_rng(seed)

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the policy's action on the noisy acceleration."""
        ego = observation["ego"].copy()
        noise = self._rng.normal(0.0, self._std_mps2, len(ego))
        ego[:, _ACCELERATION] += (noise / EGO_SCALE[_ACCELERATION]).astype(np.float32)
        return self._policy(Observation(ego=ego, peers=observation["peers"], peer_mask=observation["peer_mask"]))
