"""Settings of a training, and presets: named sets of their values."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from roadsense.envs.config import EnvConfig, RewardWeights
from roadsense.envs.hazard import HazardRanges
from roadsense.errors import InputError
from roadsense.utils.bounds import MAX_SEED, MAX_WORKERS, bounded, check_bounds

WORKERS_PER_CORE = 4
MAX_WIDTH, MAX_WEIGHT = 4096, 1000.0
"""Largest width of a layer, and weight of a reward term."""
ALGORITHMS = ("ppo", "sac", "tqc")
SCHEDULES = ("linear", "constant", "cosine")
SAMPLERS = ("uniform", "plr")
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "quick": {"total_timesteps": 400_000, "imitation_timesteps": 60_000},
    "overnight": {
        "total_timesteps": 50_000_000,
        "imitation_timesteps": 300_000,
        "n_units": 64,
        "net_width": 128,
        "schedule": "cosine",
        "checkpoint_interval": 500_000,
        "eval_interval": 2_000_000,
        "eval_episodes": 300,
    },
}
"""Values that replace the defaults, by the preset's name."""
CHOICES = {"algorithm": ALGORITHMS, "schedule": SCHEDULES, "sampler": SAMPLERS, "preset": tuple(PRESETS)}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; the command line, a notebook's parameters and a job's are these fields.

    Attributes:
        dataset_dir: folder of scenarios; every `.sumocfg` below it is used, but only `train` of a whole dataset.
        run_dir: new folder for the run; by default a folder in `runs`, named after the time.
        preset: `quick`, `default` or `overnight`; its values replace the defaults, but not the values that you give.
        algorithm: learning algorithm, `ppo`, `sac` or `tqc`.
        total_timesteps: number of environment steps to learn from, between the two imitations; PPO rounds it up to
            whole rollouts of all workers.
        imitation_timesteps: number of steps to record and imitate, of the confirmed rule first, and at the end of the
            policy with that rule as its least; 0 for none. PPO only.
        n_workers: number of worker processes, one SUMO each; 0 for four a core.
        seed: seed of all random draws.
        seeds: seeds of an experiment, which has a run folder for each, `seed_0` and so on, in `run_dir`.
        learning_rate: learning rate of Adam at the start.
        schedule: course of the learning rate over the training: `linear` and `cosine` fall to a tenth, or `constant`.
        rollout_steps: number of steps of each worker between two updates. PPO only.
        batch_size: number of samples in a gradient step.
        n_epochs: number of passes over each rollout. PPO only.
        gamma: discount per step of 0.1 s, 0 to 1.
        gae_lambda: decay of generalised advantage estimation, 0 to 1. PPO only.
        clip_range: clip range of PPO, up to 1.
        entropy_weight: weight of the entropy in the loss. PPO only; SAC and TQC tune theirs.
        log_std_init: logarithm of the action's standard deviation at the start. PPO only.
        buffer_size: number of steps in the replay buffer. SAC and TQC only.
        learning_starts: number of steps before the first update. SAC and TQC only.
        gradient_steps: number of updates after each step of all workers. SAC and TQC only.
        n_units: width of the network over peers.
        net_width: width of the two hidden layers behind it.
        v2v: radio preset, a `.json` file of a fitted one, or `scenario`: the radio that each scenario names, so
            that a training uses many.
        v2v_randomised: whether each episode draws its own radio around the preset.
        surroundings: who else has a radio, and what is relayed, by name, see `roadsense.envs.surroundings`, or
            `scenario`: what each scenario asks for, `mixed` where it asks for nothing.
        penetration: least share of the other traffic that carries a radio, 0 to 1, whatever the surroundings.
        sensors: what the cars' boxes measure with, by name or a `.json` file, see `roadsense.envs.sensors`; or
            `scenario`.
        hazard_probability: share of episodes with a hazard. The defaults make more and harder hazards than
            an evaluation has, because the driver alone copes with most of those.
        stopped_share: share of hazards that are a standing vehicle.
        cut_in_share: share of hazards in which a car cuts in.
        recorded_share: share of hazards that are brakings of recorded drives.
        recorded_file: file of such brakings, as `roadsense drive hazards` writes it.
        leader_share: share of hazards that the ego's direct leader causes; the others are caused by any car ahead.
        hazard_deceleration_min_mps2: gentlest braking of the car that causes a hazard, from 0; the hardest is 8.
        episode_steps: number of steps until an episode is truncated.
        early_braking_weight: reward for braking while it is required, at least 0, see `roadsense.envs.reward`.
        needless_braking_weight: reward for braking beyond what is needed, at most 0; a lower value makes it calmer.
        hard_needless_braking_weight: reward for the part of it beyond 0.6 m/s2, at most 0.
        jerk_weight: reward for harsh changes of acceleration, at most 0; a lower value gives gentler and later braking.
        blind_following_weight: reward for driving close to a leader that is not heard, at most 0; a lower value
            gives a longer gap with a bad radio.
        reward: `module:name` of your own reward, see `EnvConfig`; empty for the weighted terms.
        hazard: `module:name` of your own hazards, see `EnvConfig`; empty to draw them from the ranges above.
        sampler: sampler of scenarios, `uniform`, or `plr` (more often those whose value is learned worst; PPO only).
        log_interval: number of steps between two lines of metrics, at least one rollout.
        log: where metrics are written too, besides the run folder: `tensorboard`, `mlflow`, `wandb`, or several.
        checkpoint_interval: number of steps between checkpoints, at least one rollout. Environments restart at each.
        eval_interval: number of steps between two evaluations on held-out scenarios, beside the training; 0 for none.
        leave_out_base: name of a base road whose scenarios are left out, to test the policy on a road that it never
            saw.
        eval_dir: folder of held-out scenarios; by default `eval` beside a dataset's `train`; without it, no evaluation.
        eval_episodes: number of episodes of an evaluation, spread over its scenarios.
        eval_workers: number of processes that evaluate.
        max_deaths: number of worker processes that may die before the training ends with the reasons.
        resume: folder of a stopped or failed run to resume with its settings; other settings are refused.
        allow_other_dataset: whether to resume even if `dataset_dir` holds other scenarios than the run began with.

    Examples:
        >>> import roadsense as rs
        >>> config = rs.TrainConfig("scenarios/small/train", run_dir="runs/long", preset="overnight")
        >>> config.total_timesteps
        50000000
    """

    dataset_dir: str = "scenarios/dataset_v1/train"
    run_dir: str | None = None
    preset: str = "default"
    algorithm: str = "ppo"
    total_timesteps: int = bounded(1_600_000, 1)
    imitation_timesteps: int = bounded(150_000, 0)
    n_workers: Annotated[int, tyro.conf.arg(name="workers")] = bounded(0, 0, MAX_WORKERS)
    seed: int = bounded(0, 0, MAX_SEED)
    seeds: tuple[int, ...] = ()
    learning_rate: float = bounded(3e-4, 1e-8, 1.0)
    schedule: str = "linear"
    rollout_steps: int = bounded(512, 1, 1_000_000)
    batch_size: int = bounded(1024, 1, 10_000_000)
    n_epochs: int = bounded(5, 1, 1000)
    gamma: float = bounded(0.98, 0.0, 1.0)
    gae_lambda: float = bounded(0.9, 0.0, 1.0)
    clip_range: float = bounded(0.2, 1e-3, 1.0)
    entropy_weight: float = bounded(0.0, 0.0, 10.0)
    log_std_init: float = bounded(-3.0, -20.0, 2.0)
    buffer_size: int = bounded(300_000, 1, 100_000_000)
    learning_starts: int = bounded(10_000, 0)
    gradient_steps: int = bounded(1, 1, 1000)
    n_units: int = bounded(32, 1, MAX_WIDTH)
    net_width: int = bounded(64, 1, MAX_WIDTH)
    v2v: str = "scenario"
    v2v_randomised: bool = True
    surroundings: str = "scenario"
    penetration: float = bounded(0.0, 0.0, 1.0)
    sensors: str = "scenario"
    hazard_probability: float = bounded(0.85, 0.0, 1.0)
    stopped_share: float = bounded(0.05, 0.0, 1.0)
    cut_in_share: float = bounded(0.0, 0.0, 1.0)
    recorded_share: float = bounded(0.0, 0.0, 1.0)
    recorded_file: str = ""
    leader_share: float = bounded(0.6, 0.0, 1.0)
    hazard_deceleration_min_mps2: float = bounded(5.0, 0.0, 8.0)
    episode_steps: int = bounded(500, 1, 1_000_000)
    early_braking_weight: float = bounded(RewardWeights.early_braking, 0.0, MAX_WEIGHT)
    needless_braking_weight: float = bounded(RewardWeights.needless_braking, -MAX_WEIGHT, 0.0)
    hard_needless_braking_weight: float = bounded(RewardWeights.hard_needless_braking, -MAX_WEIGHT, 0.0)
    jerk_weight: float = bounded(RewardWeights.jerk, -MAX_WEIGHT, 0.0)
    blind_following_weight: float = bounded(RewardWeights.blind_following, -MAX_WEIGHT, 0.0)
    reward: str = ""
    hazard: str = ""
    sampler: str = "uniform"
    log_interval: int = bounded(4_000, 1)
    log: tuple[str, ...] = ()
    checkpoint_interval: int = bounded(200_000, 1)
    eval_interval: int = bounded(200_000, 0)
    leave_out_base: str | None = None
    eval_dir: str | None = None
    eval_episodes: int = bounded(100, 1, 1_000_000)
    eval_workers: int = bounded(1, 1, MAX_WORKERS)
    max_deaths: int = bounded(10, 0)
    resume: str | None = None
    allow_other_dataset: bool = False

    def __new__(cls, *values: Any, **given: Any) -> "TrainConfig":
        """Stores which settings the caller gave: they win over a preset, even if they equal the default."""
        config = super().__new__(cls)
        in_order = [field.name for field in fields(cls)][: len(values)]
        object.__setattr__(config, "_given", frozenset({*in_order, *given}))
        return config

    def __post_init__(self) -> None:
        check_bounds(self)
        for name, allowed in CHOICES.items():
            object.__setattr__(self, name, getattr(self, name).lower())
            if getattr(self, name) not in allowed:
                raise InputError(f"Expected {name} of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        for name, value in PRESETS[self.preset].items():
            if name not in self.given:
                object.__setattr__(self, name, value)
        if len(set(self.seeds)) < len(self.seeds) or not all(0 <= seed <= MAX_SEED for seed in self.seeds):
            raise InputError(f"Expected seeds that differ, each from 0 to {MAX_SEED}, got {self.seeds}.")
        if self.sampler == "plr" and self.algorithm != "ppo":
            raise InputError(
                f"Expected algorithm ppo with the sampler plr, which scores by its advantages, got {self.algorithm}."
            )
        self.env_config()

    @property
    def given(self) -> frozenset[str]:
        """Names of the settings that the caller gave; all of them in a copy made by `dataclasses.replace`."""
        return getattr(self, "_given", frozenset())

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(
            n_steps=self.episode_steps,
            v2v=self.v2v,
            v2v_randomised=self.v2v_randomised,
            surroundings=self.surroundings,
            penetration=self.penetration,
            sensors=self.sensors,
            step_info=False,
            reward=self.reward,
            hazard=self.hazard,
            weights=RewardWeights(
                early_braking=self.early_braking_weight,
                needless_braking=self.needless_braking_weight,
                hard_needless_braking=self.hard_needless_braking_weight,
                jerk=self.jerk_weight,
                blind_following=self.blind_following_weight,
            ),
            hazards=HazardRanges(
                probability=self.hazard_probability,
                stopped_share=self.stopped_share,
                cut_in_share=self.cut_in_share,
                recorded_share=self.recorded_share,
                recorded_file=self.recorded_file,
                leader_share=self.leader_share,
                deceleration_min_mps2=self.hazard_deceleration_min_mps2,
            ),
        )


def name_run(config: TrainConfig) -> TrainConfig:
    """Returns settings with a name for the run folder, so that a view can follow it before the folder exists."""
    is_named = config.run_dir or config.resume
    return config if is_named else replace(config, run_dir=f"runs/{time.strftime('%Y%m%d-%H%M%S')}")


def complete(config: TrainConfig) -> TrainConfig:
    """Returns settings with the number of workers measured and the run folder named."""
    n_workers = config.n_workers or WORKERS_PER_CORE * len(os.sched_getaffinity(0))
    return replace(name_run(config), n_workers=n_workers)


def restore_config(saved: Mapping[str, Any], folder: Path, asked: TrainConfig) -> TrainConfig:
    """Returns the settings of a run to resume: its own, with the present path of its folder.

    Args:
        saved: content of the run's `config.json`.
        folder: path of the run folder.
        asked: settings that the caller gave, `resume` among them.

    Raises:
        InputError: if `asked` holds another setting, or `saved` of another version lacks some or has others.
    """
    differing = sorted(saved.keys() ^ {field.name for field in fields(TrainConfig)})
    if differing:
        raise InputError(
            f"{folder}: expected the settings of this version, {differing} are missing or not known. "
            "Resume it with the version it began with."
        )
    free = {"resume", "allow_other_dataset"} | ({"dataset_dir", "eval_dir"} if asked.allow_other_dataset else set())
    wrong = sorted(asked.given - free)
    if wrong:
        raise InputError(
            f"A resumed run keeps its settings, got {', '.join(wrong)} beside resume. Leave them out, or begin a new "
            "run. (Another dataset_dir needs --allow_other_dataset.)"
        )
    moved = {name: getattr(asked, name) for name in asked.given & {"dataset_dir", "eval_dir"}}
    return TrainConfig(**{**saved, **moved, "run_dir": str(folder), "resume": None, "allow_other_dataset": False})
