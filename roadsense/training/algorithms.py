"""Learning algorithms over the Deep Sets network: settings in, untrained model out. PPO drives in its workers."""

import io
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from roadsense.policies.actor import read_actor
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.pool import Drive, Infos
from roadsense.training.vec.shared import MAX_ROWS, by_key
from roadsense.utils.files import record_sum, write_atomically

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


LAST_RATE_SHARE = 0.1
"""A falling learning rate ends at this share of its start."""
FALLS: dict[str, Callable[[float], float]] = {
    "linear": lambda left: left,
    "cosine": lambda left: (1 - math.cos(math.pi * left)) / 2,
    "constant": lambda left: 1.0,
}
"""Functions from the share of the training that is left (1 to 0) to a factor from 1 to 0."""


def learning_rate_at(config: TrainConfig, left: float) -> float:
    """Returns the learning rate when the share `left` of the training, 1 to 0, is left."""
    return config.learning_rate * (LAST_RATE_SHARE + (1 - LAST_RATE_SHARE) * FALLS[config.schedule](left))


def build_model(env: VecEnv, config: TrainConfig) -> Any:
    """Returns a model that has learned nothing.

    Args:
        env: environments that the model learns from.
        config: settings, with the number of workers filled in.
    """
    common: dict[str, Any] = {
        "learning_rate": config.learning_rate,
        "gamma": config.gamma,
        "seed": config.seed,
        "device": "cpu",
    }
    build = _build_ppo if config.algorithm == "ppo" else _build_off_policy
    model = build(env, config, common, network_settings(config))
    model.lr_schedule = lambda left: learning_rate_at(config, left)
    model.set_logger(Logger(folder=None, output_formats=[]))
    return model


def network_settings(config: TrainConfig) -> dict[str, Any]:
    """Returns the settings of the networks, as a policy of Stable-Baselines3 takes them."""
    return {
        "features_extractor_class": DeepSetsExtractor,
        "features_extractor_kwargs": {"n_units": config.n_units, "sees_ego": True},
        "net_arch": [config.net_width, config.net_width],
    }


def save_policy(model: Any, path: Path) -> None:
    """Writes a model as a Stable-Baselines3 zip that opens without this package's training, and notes its SHA-256.

    Schedules are functions of modules that may move, so the zip holds plain numbers instead.
    """
    schedules = {name: getattr(model, name) for name in ("lr_schedule", "clip_range") if hasattr(model, name)}
    content = io.BytesIO()
    try:
        for name, schedule in schedules.items():
            setattr(model, name, float(schedule(1.0)))
        model.save(content)
    finally:
        for name, schedule in schedules.items():
            setattr(model, name, schedule)
    write_atomically(path, content.getvalue())
    record_sum(path)


def _build_ppo(env: VecEnv, config: TrainConfig, common: dict[str, Any], network: dict[str, Any]) -> DrivenPPO:
    return DrivenPPO(
        "MultiInputPolicy",
        env,
        n_steps=config.rollout_steps,
        batch_size=min(config.batch_size, config.rollout_steps * config.n_workers),
        n_epochs=config.n_epochs,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy_weight,
        # The epsilon is SB3's default for PPO. Fused: 7 % off the update.
        policy_kwargs={
            **network,
            "log_std_init": config.log_std_init,
            "optimizer_kwargs": {"eps": 1e-5, "fused": True},
        },
        **common,
    )


def _build_off_policy(env: VecEnv, config: TrainConfig, common: dict[str, Any], network: dict[str, Any]) -> SAC:
    kind = {"sac": SAC, "tqc": TQC}[config.algorithm]
    return kind(
        "MultiInputPolicy",
        env,
        buffer_size=config.buffer_size,
        learning_starts=config.learning_starts,
        batch_size=config.batch_size,
        train_freq=1,
        gradient_steps=config.gradient_steps,
        policy_kwargs=network,
        **common,
    )
