"""Learning algorithms by name, over the Deep Sets network: settings in, untrained model out."""

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sb3_contrib import TQC
from stable_baselines3 import SAC
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import VecEnv

from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.training.driven_ppo import DrivenPPO
from roadsense.training.train_config import TrainConfig
from roadsense.utils.files import record_sum, write_atomically

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
