"""PPO whose workers hold the policy and drive by themselves; the learner evaluates their steps in one batch."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from roadsense.policies.actor import read_actor
from roadsense.training.vec.pool import Drive, Infos
from roadsense.training.vec.shared import MAX_ROWS, by_key

PART_S = 2.0
"""Time between two calls of the callback, which may stop the training; slow machines drive fewer rows in it."""
FIRST_ROWS = 16


class DrivenPPO(PPO):
    """PPO of Stable-Baselines3, which collects with `ConvoyVecEnv.drive` instead of single steps.

    It learns what PPO learns: actions are drawn from the current policy, their log-probabilities and the values come
    from the network, and after an episode that was cut the value of the last observation is added. The noise of the
    actions is drawn here, from torch's generator, so the only random parts of a worker are those of its environment.
    Callbacks are called for every row of steps, as in PPO, but after several rows are driven: up to `MAX_ROWS`, or as
    many as `PART_S` allows.
    """

    _last_episode_starts: np.ndarray
    _n_rows = FIRST_ROWS

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Collects a rollout; returns False if a callback stopped it.

        Args:
            env: a `ConvoyVecEnv`.
            callback: callback, called at the start and end of the rollout and for each row of it.
            rollout_buffer: buffer that is filled.
            n_rollout_steps: number of rows, each one step of every worker.
        """
        workers: Any = env
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        actor, noise, drives, first = read_actor(self), self._draw_noise(n_rollout_steps), [], 0
        while first < n_rollout_steps:
            begin_s = time.monotonic()
            drives.append(workers.drive(noise[first : first + self._n_rows], actor))
            first += len(drives[-1].dones)
            if not self._call_back(drives[-1], callback):
                return False
            self._pace(len(drives[-1].dones), time.monotonic() - begin_s)
        # All in one batch, so the numbers do not depend on the parts, whose size depends on the speed.
        self._fill(_join(drives), rollout_buffer)
        callback.on_rollout_end()
        return True

    def _pace(self, n_rows: int, elapsed_s: float) -> None:
        """Chooses how many rows are driven before the callback, which may stop the training, is called again."""
        self._n_rows = int(np.clip(n_rows * PART_S / max(elapsed_s, 1e-3), FIRST_ROWS, MAX_ROWS))

    def _draw_noise(self, n_rows: int) -> np.ndarray:
        with torch.no_grad():
            return (torch.randn(n_rows, self.n_envs, 1) * self.policy.log_std.exp()).numpy()

    def _call_back(self, drive: Drive, callback: BaseCallback) -> bool:
        """Calls the callback for every row; returns False as soon as the callback does."""
        empty: dict[str, Any] = {}
        clipped = np.clip(drive.actions, self.action_space.low, self.action_space.high)
        for row, dones in enumerate(drive.dones):
            self.num_timesteps += self.n_envs
            infos = [drive.infos.get((row, worker), empty) for worker in range(self.n_envs)]
            row_locals = {"actions": drive.actions[row], "clipped_actions": clipped[row], "rewards": drive.rewards[row]}
            callback.update_locals({**row_locals, "dones": dones, "infos": infos})
            if not callback.on_step():
                return False
        return True

    def _fill(self, drive: Drive, buffer: RolloutBuffer) -> None:
        """Fills the buffer with a rollout, its values, log-probabilities and advantages."""
        seen = by_key(drive.observation_rows[:-1])
        self._last_obs = by_key(drive.observation_rows[-1])
        with torch.no_grad():
            flat = {key: value.flatten(0, 1) for key, value in _as_tensors(seen).items()}
            values, log_probs, _ = self.policy.evaluate_actions(flat, torch.tensor(drive.actions).flatten(0, 1))
            last_values = self.policy.predict_values(_as_tensors(self._last_obs))
        for key, array in seen.items():
            buffer.observations[key][:] = array
        buffer.actions[:] = drive.actions
        buffer.rewards[:] = drive.rewards + self.gamma * self._value_cut_ends(drive)
        buffer.episode_starts[:] = np.vstack([self._last_episode_starts[np.newaxis], drive.dones[:-1]])
        buffer.values[:] = values.view(drive.dones.shape).numpy()
        buffer.log_probs[:] = log_probs.view(drive.dones.shape).numpy()
        buffer.pos, buffer.full = len(drive.dones), True
        self._last_episode_starts = drive.dones[-1]
        buffer.compute_returns_and_advantage(last_values, self._last_episode_starts)

    def _value_cut_ends(self, drive: Drive) -> np.ndarray:
        """Returns the value of the last observation where an episode was cut, elsewhere 0; shape (n_rows, n)."""
        values = np.zeros(drive.dones.shape, np.float32)
        # Sorted: the position in a batch may change the last bit.
        cut = sorted(place for place, info in drive.infos.items() if drive.dones[place] and info["TimeLimit.truncated"])
        if cut:
            last = [drive.infos[place]["terminal_observation"] for place in cut]
            seen = _as_tensors({key: np.stack([each[key] for each in last]) for key in last[0]})
            with torch.no_grad():
                values[tuple(np.transpose(cut))] = self.policy.predict_values(seen)[:, 0].numpy()
        return values


def _as_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Returns copies, which torch aligns: the alignment of an array may change the last bit of a product."""
    return {key: torch.tensor(array) for key, array in arrays.items()}


def _join(drives: Sequence[Drive]) -> Drive:
    """Joins the parts of a rollout."""
    infos: Infos = {}
    first = 0
    for drive in drives:
        infos |= {(first + row, worker): info for (row, worker), info in drive.infos.items()}
        first += len(drive.dones)
    last_row = drives[-1].observation_rows[-1:]
    return Drive(
        np.concatenate([*(drive.observation_rows[:-1] for drive in drives), last_row]),
        np.concatenate([drive.actions for drive in drives]),
        np.concatenate([drive.rewards for drive in drives]),
        np.concatenate([drive.dones for drive in drives]),
        infos,
    )
