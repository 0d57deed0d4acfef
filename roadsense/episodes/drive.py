"""The one loop that drives an episode: a policy acts until the episode ends."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import Observation
from roadsense.policies.rules import Policy


class Step(NamedTuple):
    """One step of an episode.

    Attributes:
        observation: observation the policy acted on, a batch of one.
        action: action of the policy, shape (1,), 0 to 1.
        reward: reward of the step.
        info: the environment's `info`; in the last step it has the `outcome`.
    """

    observation: Observation
    action: NDArray[np.float32]
    reward: float
    info: dict[str, Any]


def drive(env: ConvoyEnv, policy: Policy, observation: Observation) -> Iterator[Step]:
    """Drives the episode that was just reset, and yields each step until it ends.

    Args:
        env: the environment after `reset`.
        policy: policy that acts.
        observation: observation that `reset` returned.
    """
    over = False
    while not over:
        seen = as_batch(observation)
        action = policy(seen)[0]
        observation, reward, terminated, truncated, info = env.step(action)
        over = terminated or truncated
        yield Step(seen, action, float(reward), info)


def as_batch(observation: Observation) -> Observation:
    """Returns a batch of one observation."""
    return Observation(
        ego=observation["ego"][None], peers=observation["peers"][None], peer_mask=observation["peer_mask"][None]
    )
