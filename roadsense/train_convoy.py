"""Trains a brake assist on a dataset: settings in, run folder out.

TensorFlow is never imported here, nor in the worker processes; those run SUMO and nothing that learns.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from stable_baselines3 import PPO
from stable_baselines3.common.logger import configure
from stable_baselines3.common.vec_env import SubprocVecEnv, VecEnv

from roadsense.command import run_command
from roadsense.dataset import MANIFEST_NAME, Dataset
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.episode import EnvConfig
from roadsense.envs.hazard import HazardRanges
from roadsense.errors import InputError
from roadsense.policies.controllers import HeardBrakingRule
from roadsense.policies.deep_sets import DeepSetsExtractor
from roadsense.policies.imitation import demonstrate, imitate
from roadsense.runs import Run, create_run
from roadsense.scenario import find_scenarios, open_scenario
from roadsense.training_log import TrainingLog

WORKERS_PER_CORE = 4
PRELOADED = ["stable_baselines3.common.vec_env.subproc_vec_env", "roadsense.envs.convoy_env"]
"""Imported once in the server that workers are forked from."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; the command line, a notebook's parameters and a job's are these fields.

    Attributes:
        dataset_dir: folder; every `.sumocfg` below it is trained on.
        run_dir: new folder for the run; by default one named after the time, in `runs`.
        total_timesteps: environment steps to learn from, after the head start.
        imitation_timesteps: steps for which the heard-braking rule is watched and then imitated; 0 for none.
        n_workers: worker processes, one SUMO each; 0 for four a core.
        seed: of everything random.
        learning_rate: of Adam, falling linearly to a tenth.
        rollout_steps: steps of each worker between two updates.
        batch_size: samples in a gradient step.
        n_epochs: passes over each rollout.
        gamma: discount per step of 0.1 s.
        gae_lambda: of generalised advantage estimation.
        clip_range: of PPO.
        entropy_weight: of the entropy in the loss.
        log_std_init: logarithm of the action's standard deviation at the start.
        n_units: width of the network over peers.
        net_width: width of the two hidden layers behind it.
        v2v: radio preset, or a `.json` file of a fitted one.
        v2v_randomised: whether each episode draws its own radio around the preset.
        hazard_probability: share of episodes in which a car ahead brakes hard.
        episode_steps: steps until an episode is cut.
    """

    dataset_dir: str = "scenarios/dataset_v1/train"
    run_dir: str | None = None
    total_timesteps: int = 1_000_000
    imitation_timesteps: int = 30_000
    n_workers: int = 0
    seed: int = 0
    learning_rate: float = 3e-4
    rollout_steps: int = 512
    batch_size: int = 1024
    n_epochs: int = 5
    gamma: float = 0.99
    gae_lambda: float = 0.95
    clip_range: float = 0.2
    entropy_weight: float = 0.0
    log_std_init: float = -1.5
    n_units: int = 32
    net_width: int = 64
    v2v: str = "esp_now"
    v2v_randomised: bool = True
    hazard_probability: float = 0.7
    episode_steps: int = 500

    def __post_init__(self) -> None:
        for name in ("total_timesteps", "rollout_steps", "batch_size", "n_epochs", "n_units", "net_width"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} of at least 1, got {getattr(self, name)}.")
        for name in ("imitation_timesteps", "n_workers", "seed"):
            if getattr(self, name) < 0:
                raise InputError(f"Expected {name} of at least 0, got {getattr(self, name)}.")
        self.env_config()

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(
            n_steps=self.episode_steps,
            v2v=self.v2v,
            v2v_randomised=self.v2v_randomised,
            step_info=False,
            hazards=HazardRanges(probability=self.hazard_probability),
        )


def train(config: TrainConfig) -> Run:
    """Trains a policy and returns its run folder, with settings, manifest, metrics and model.

    Args:
        config: settings.

    Raises:
        InputError: for settings that cannot be used.
        ScenarioError: if the dataset folder holds no scenario, or one that cannot be opened.
        RunError: if the run folder holds something already.
    """
    scenario_paths = find_scenarios(config.dataset_dir)
    for path in scenario_paths:
        open_scenario(path)
    config = _complete(config)
    facts = {"dataset_digest": _find_digest(Path(config.dataset_dir)), "n_scenarios": len(scenario_paths)}
    run = create_run(config.run_dir or "", config, facts)
    torch.set_num_threads(1)
    env = _start_workers(scenario_paths, config)
    try:
        model = _build_model(env, config)
        if config.imitation_timesteps:
            shown = demonstrate(env, HeardBrakingRule(), config.imitation_timesteps, config.gamma)
            imitate(model, shown, np.random.default_rng(config.seed))
        model.learn(config.total_timesteps, callback=TrainingLog(run.metrics_path, config.total_timesteps))
        waiting = run.model_path.with_suffix(".part.zip")
        model.save(waiting)
        os.replace(waiting, run.model_path)
    finally:
        env.close()
    return run


def _find_digest(folder: Path) -> str | None:
    """Returns the digest of the dataset a folder is, or is a split of; None for a folder of loose scenarios."""
    for candidate in (folder, folder.parent):
        if (candidate / MANIFEST_NAME).is_file():
            return Dataset.open(candidate).digest
    return None


def _complete(config: TrainConfig) -> TrainConfig:
    n_workers = config.n_workers or WORKERS_PER_CORE * len(os.sched_getaffinity(0))
    return replace(config, n_workers=n_workers, run_dir=config.run_dir or f"runs/{time.strftime('%Y%m%d-%H%M%S')}")


def _start_workers(scenario_paths: Sequence[Path], config: TrainConfig) -> VecEnv:
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    paths, env_config = [str(path.resolve()) for path in scenario_paths], config.env_config()

    def _make_env() -> ConvoyEnv:
        return ConvoyEnv(paths, config=env_config)

    env = SubprocVecEnv([_make_env] * config.n_workers, start_method="forkserver")
    env.seed(config.seed)
    return env


def _build_model(env: VecEnv, config: TrainConfig) -> PPO:
    model = PPO(
        "MultiInputPolicy",
        env,
        learning_rate=lambda left: config.learning_rate * (0.1 + 0.9 * left),
        n_steps=config.rollout_steps,
        batch_size=min(config.batch_size, config.rollout_steps * config.n_workers),
        n_epochs=config.n_epochs,
        gamma=config.gamma,
        gae_lambda=config.gae_lambda,
        clip_range=config.clip_range,
        ent_coef=config.entropy_weight,
        seed=config.seed,
        device="cpu",
        policy_kwargs={
            "features_extractor_class": DeepSetsExtractor,
            "features_extractor_kwargs": {"n_units": config.n_units},
            "net_arch": [config.net_width, config.net_width],
            "log_std_init": config.log_std_init,
        },
    )
    model.set_logger(configure(None, []))
    return model


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command `python -m roadsense.train_convoy`; returns its exit code."""
    return run_command(lambda: _train_from(arguments))


def _train_from(arguments: Sequence[str] | None) -> None:
    run = train(tyro.cli(TrainConfig, args=arguments, description=train.__doc__))
    sys.stdout.write(f"Trained policy: {run.model_path}\n")


if __name__ == "__main__":
    sys.exit(main())
