"""How many threads the learner uses: a measurement at the start of a training, recorded in the run.

Sums over a batch may differ in the last bit with another number of threads, so a resumed run keeps its number.
"""

import math
import os
import time
from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import MultiInputActorCriticPolicy

from roadsense.envs.observation import MAX_PEERS, observation_space
from roadsense.training.algorithms import network_settings
from roadsense.training.train_config import TrainConfig

LEARNER_THREADS = "learner_threads"
"""Name of the number in a run's manifest."""

MIN_GAIN = 0.15
"""More threads are chosen only if a gradient step is faster by this share: they take cores from other work."""
MIN_BATCH, MIN_TIMESTEPS = 1024, 200_000
"""Smaller batches gain nothing from a second thread, and shorter trainings not enough to measure it."""
N_STEPS = 9


def choose_learner_threads(config: TrainConfig) -> int:
    """Returns the number of threads with which a gradient step of PPO is fastest now; 1 where it does not matter."""
    if config.algorithm != "ppo" or config.batch_size < MIN_BATCH or config.total_timesteps < MIN_TIMESTEPS:
        return 1
    step = make_gradient_step(config)
    best, best_s = 1, measure_steps(step, 1)
    n_threads = 2
    while n_threads <= len(os.sched_getaffinity(0)):
        seconds = measure_steps(step, n_threads, limit_s=best_s * (1 - MIN_GAIN))
        if seconds == math.inf:
            break
        best, best_s = n_threads, seconds
        n_threads *= 2
    torch.set_num_threads(1)
    return best


def measure_steps(step: Callable[[], None], n_threads: int, limit_s: float = math.inf) -> float:
    """Returns the time of `N_STEPS` gradient steps in s, without a first one; infinity if it reaches `limit_s`.

    With other work on the cores a second thread can make a step 50 times slower, so a slow measurement stops early.

    Args:
        step: function that does one gradient step.
        n_threads: number of threads of torch, from 1.
        limit_s: time in s at which the measurement stops.
    """
    torch.set_num_threads(n_threads)
    step()
    begin_s = time.perf_counter()
    for _ in range(N_STEPS):
        step()
        if time.perf_counter() - begin_s >= limit_s:
            return math.inf
    return time.perf_counter() - begin_s


def make_gradient_step(config: TrainConfig) -> Callable[[], None]:
    """Returns a function that does one gradient step with a batch of the training's size."""
    with torch.random.fork_rng(devices=[]):  # the measurement does not change the training's draws
        policy = MultiInputActorCriticPolicy(
            observation_space(), spaces.Box(0.0, 1.0, (1,), np.float32), lambda _: 0.0, **network_settings(config)
        )
        batch: dict[str, torch.Tensor] = {
            name: torch.rand(config.batch_size, *(space.shape or ())) for name, space in observation_space().items()
        }
        actions = torch.rand(config.batch_size, 1)
    batch["peer_mask"] = (torch.arange(MAX_PEERS) < MAX_PEERS // 2).float().expand(config.batch_size, -1)

    def _step() -> None:
        values, log_probs, entropy = policy.evaluate_actions(batch, actions)
        policy.optimizer.zero_grad()
        (values.mean() + log_probs.mean() + entropy.mean()).backward()
        policy.optimizer.step()

    return _step
