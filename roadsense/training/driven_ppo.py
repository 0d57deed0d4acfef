"""PPO whose workers hold the policy and drive by themselves; the learner values what they did in one batch."""

from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from roadsense.policies.actor import read_actor
from roadsense.training.vec_env import Drive
from roadsense.training.vec_shared import MAX_ROWS


class DrivenPPO(PPO):
    """PPO of Stable-Baselines3, collecting with `ConvoyVecEnv.drive` in place of a step at a time.

    What is learned is what PPO learns: actions are drawn from the policy as it is, their log-probabilities and the
    values are the network's, an episode that was cut is continued by the value of what was seen last. The noise of the
    actions is drawn here, from torch's generator, so nothing random lies in the workers but their environments.
    Callbacks are called for every row of steps, as in PPO, but up to `MAX_ROWS` rows after it was driven.
    """

    _last_episode_starts: np.ndarray

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Collects a rollout; returns False if a callback gave it up.

        Args:
            env: a `ConvoyVecEnv`.
            callback: told of the rollout, and of each row of it.
            rollout_buffer: filled.
            n_rollout_steps: rows.
        """
        workers: Any = env
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        callback.on_rollout_start()
        actor = read_actor(self)
        while rollout_buffer.pos < n_rollout_steps:
            n_rows = min(MAX_ROWS, n_rollout_steps - rollout_buffer.pos)
            drive = workers.drive(self._draw_noise(n_rows), actor)
            if not self._show(drive, callback):
                return False
            self._add(drive, rollout_buffer)
        with torch.no_grad():
            last_values = self.policy.predict_values(self.policy.obs_to_tensor(self._last_obs)[0])
        rollout_buffer.compute_returns_and_advantage(last_values, self._last_episode_starts)
        callback.on_rollout_end()
        return True

    def _draw_noise(self, n_rows: int) -> np.ndarray:
        with torch.no_grad():
            return (torch.randn(n_rows, self.n_envs, 1) * self.policy.log_std.exp()).numpy()

    def _show(self, drive: Drive, callback: BaseCallback) -> bool:
        """Tells the callback of every row; returns False as soon as it does."""
        quiet: dict[str, Any] = {}
        clipped = np.clip(drive.actions, self.action_space.low, self.action_space.high)
        for row, dones in enumerate(drive.dones):
            self.num_timesteps += self.n_envs
            infos = [drive.infos.get((row, worker), quiet) for worker in range(self.n_envs)]
            told = {"actions": drive.actions[row], "clipped_actions": clipped[row], "rewards": drive.rewards[row]}
            callback.update_locals({**told, "dones": dones, "infos": infos})
            if not callback.on_step():
                return False
        return True

    def _add(self, drive: Drive, buffer: RolloutBuffer) -> None:
        """Puts rows into the buffer with their values and log-probabilities."""
        n_rows, n_workers = drive.dones.shape
        rows = slice(buffer.pos, buffer.pos + n_rows)
        seen = {key: array[:-1] for key, array in drive.observations.items()}
        flat = {key: torch.from_numpy(array).flatten(0, 1) for key, array in seen.items()}
        with torch.no_grad():
            values, log_probs, _ = self.policy.evaluate_actions(flat, torch.from_numpy(drive.actions).flatten(0, 1))
        for key, array in seen.items():
            buffer.observations[key][rows] = array
        buffer.actions[rows] = drive.actions
        buffer.rewards[rows] = drive.rewards + self.gamma * self._value_cut_ends(drive)
        buffer.episode_starts[rows] = np.vstack([self._last_episode_starts[np.newaxis], drive.dones[:-1]])
        buffer.values[rows] = values.view(n_rows, n_workers).numpy()
        buffer.log_probs[rows] = log_probs.view(n_rows, n_workers).numpy()
        buffer.pos += n_rows
        buffer.full = buffer.pos == buffer.buffer_size
        self._last_obs = {key: array[-1] for key, array in drive.observations.items()}
        self._last_episode_starts = drive.dones[-1]

    def _value_cut_ends(self, drive: Drive) -> np.ndarray:
        """Returns, where an episode was cut, the value of what was seen last, elsewhere 0; shape (n_rows, n)."""
        values = np.zeros(drive.dones.shape, np.float32)
        cut = [place for place, info in drive.infos.items() if drive.dones[place] and info["TimeLimit.truncated"]]
        if cut:
            last = [drive.infos[place]["terminal_observation"] for place in cut]
            seen = {key: torch.from_numpy(np.stack([each[key] for each in last])) for key in last[0]}
            with torch.no_grad():
                values[tuple(np.transpose(cut))] = self.policy.predict_values(seen)[:, 0].numpy()
        return values
