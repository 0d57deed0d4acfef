"""Imitation: the network learns the actions of another policy, and their value, before the learning and after it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import VecEnv
from torch.nn import functional

from roadsense.policies.rules import Policy
from roadsense.utils.progress import progress_bar

NO_BRAKING = -0.1
"""Target of the mean action where the rule does not brake: three standard deviations of the exploration below the dead
zone, so that exploration rarely brakes. A lower target pulls the mean below the dead zone wherever the rule may brake
or not, and what lies below it is not learned again."""
BATCH_SIZE = 512
EPOCHS = 15
LEARNING_RATE = 1e-3
BRAKING_WEIGHT = 5.0
"""Weight of a step in which the rule brakes, as these are rare; all others have 1."""


@dataclass(frozen=True)
class Demonstration:
    """The recorded actions of a rule: arrays over all n steps of all environments.

    Attributes:
        observations: arrays of shape (n, ...), by name.
        actions: actions of the rule, 0 to 1, shape (n, 1).
        returns: discounted rewards from the step to the end of the recording, shape (n, 1).
    """

    observations: dict[str, NDArray[np.float32]]
    actions: NDArray[np.float32]
    returns: NDArray[np.float32]


def demonstrate(
    env: VecEnv, rule: Policy, n_steps: int, gamma: float, on_progress: Callable[[int], None] | None = None
) -> Demonstration:
    """Records a rule while it drives.

    Args:
        env: environments to drive in; they are left in the middle of an episode.
        rule: rule that is recorded.
        n_steps: number of steps over all environments, at least one for each.
        gamma: discount per step, 0 to 1.
        on_progress: function called with the number of steps so far.
    """
    n_rows = max(1, n_steps // env.num_envs)
    observation = env.reset()
    observations: dict[str, list] = {key: [] for key in observation}
    actions, rewards, dones = [], [], []
    with progress_bar(n_rows * env.num_envs, "recording to imitate", "step") as bar:
        for _ in range(n_rows):
            for key, value in observation.items():
                observations[key].append(value.copy())
            actions.append(rule(observation))
            observation, reward, done, _ = env.step(actions[-1])
            rewards.append(reward)
            dones.append(done)
            bar.update(env.num_envs)
            if on_progress is not None:
                on_progress(len(actions) * env.num_envs)
    returns = _discount(np.array(rewards), np.array(dones), gamma)
    stacked = {key: np.concatenate(values) for key, values in observations.items()}
    return Demonstration(stacked, np.concatenate(actions), returns.reshape(-1, 1).astype(np.float32))


def imitate(model: PPO, demonstration: Demonstration, rng: np.random.Generator) -> float:
    """Fits the policy's mean action and its value to a demonstration; returns the last epoch's mean loss."""
    policy = model.policy
    optimizer = torch.optim.Adam(policy.parameters(), lr=LEARNING_RATE)
    target = np.where(demonstration.actions > 0, demonstration.actions, NO_BRAKING)
    tensors = {key: torch.as_tensor(value) for key, value in demonstration.observations.items()}
    wanted, returns = torch.as_tensor(target), torch.as_tensor(demonstration.returns)
    weights = torch.where(wanted > 0, BRAKING_WEIGHT, 1.0)
    losses: list[float] = []
    for _ in range(EPOCHS):
        losses.clear()
        for rows in np.array_split(rng.permutation(len(target)), max(1, len(target) // BATCH_SIZE)):
            batch = {key: value[rows] for key, value in tensors.items()}
            mean = policy.get_distribution(batch).distribution.mean
            # All means below 0 are the same action: no braking.
            off = torch.where((wanted[rows] < 0) & (mean < NO_BRAKING), 0.0, mean - wanted[rows])
            loss = (weights[rows] * off**2).mean() + 1e-3 * functional.mse_loss(
                policy.predict_values(batch), returns[rows]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return float(np.mean(losses))


def _discount(rewards: NDArray[np.float64], dones: NDArray[np.bool_], gamma: float) -> NDArray[np.float64]:
    returns = np.zeros_like(rewards)
    running = np.zeros(rewards.shape[1])
    for row in range(len(rewards) - 1, -1, -1):
        running = rewards[row] + gamma * running * ~dones[row]
        returns[row] = running
    return returns
