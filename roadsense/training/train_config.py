"""Settings of a training, and presets: named sets of their values."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from roadsense.envs.config import EnvConfig
from roadsense.envs.hazard import HazardRanges
from roadsense.envs.reward import RewardWeights
from roadsense.errors import InputError

WORKERS_PER_CORE = 4
ALGORITHMS = ("ppo", "sac", "tqc")
SCHEDULES = ("linear", "constant", "cosine")
SAMPLERS = ("uniform", "plr")
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
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
"""Values that take the place of the defaults, by the preset's name."""
CHOICES = {"algorithm": ALGORITHMS, "schedule": SCHEDULES, "sampler": SAMPLERS, "preset": tuple(PRESETS)}
LEAST: Mapping[str, int] = {
    **dict.fromkeys(("imitation_timesteps", "n_workers", "seed", "eval_interval", "learning_starts", "max_deaths"), 0),
    **dict.fromkeys(("total_timesteps", "rollout_steps", "batch_size", "n_epochs", "n_units", "net_width"), 1),
    **dict.fromkeys(("checkpoint_interval", "log_interval", "eval_episodes", "eval_workers"), 1),
    **dict.fromkeys(("buffer_size", "gradient_steps"), 1),
}
"""Smallest value of each whole number."""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training; the command line, a notebook's parameters and a job's are these fields.

    Attributes:
        dataset_dir: folder; every `.sumocfg` below it is trained on. Of a whole dataset only its `train` is.
        run_dir: new folder for the run; by default one named after the time, in `runs`.
        preset: `default` or `overnight`; its values take the place of the defaults, and any other value given wins.
        algorithm: `ppo`, `sac` or `tqc`.
        total_timesteps: environment steps to learn from, after the head start.
        imitation_timesteps: steps for which the cautious rule is watched and then imitated; 0 for none. PPO only.
        n_workers: worker processes, one SUMO each; 0 for four a core.
        seed: of everything random.
        seeds: several seeds are one experiment: a run folder for each, `seed_0` and so on, in `run_dir`.
        learning_rate: of Adam, at the start.
        schedule: of the learning rate over the whole training: `linear` and `cosine` fall to a tenth, or `constant`.
        rollout_steps: steps of each worker between two updates. PPO only.
        batch_size: samples in a gradient step.
        n_epochs: passes over each rollout. PPO only.
        gamma: discount per step of 0.1 s.
        gae_lambda: of generalised advantage estimation. PPO only.
        clip_range: of PPO.
        entropy_weight: of the entropy in the loss. PPO only; SAC and TQC tune theirs.
        log_std_init: logarithm of the action's standard deviation at the start. PPO only.
        buffer_size: steps that are remembered. SAC and TQC only.
        learning_starts: steps before the first update. SAC and TQC only.
        gradient_steps: updates after each step of all workers. SAC and TQC only.
        n_units: width of the network over peers.
        net_width: width of the two hidden layers behind it.
        v2v: radio preset, a `.json` file of a fitted one, or `scenario`: the one each scenario asks for, so that a
            training meets many.
        v2v_randomised: whether each episode draws its own radio around the preset.
        penetration: share of the other traffic that carries a radio.
        hazard_probability: share of episodes with a hazard. By default the values for hazards make more and harder
            ones than an evaluation has, as a driver alone answers most of those.
        stopped_share: of them, share in which a standing vehicle is the hazard.
        cut_in_share: of them, share in which a car cuts in.
        leader_share: of them, share that the ego's direct leader causes; in the others any car, the leader too.
        hazard_deceleration_min_mps2: gentlest braking of the car that causes one, from 0; the hardest is 8.
        episode_steps: steps until an episode is cut.
        early_braking_weight: reward for braking while it is required, at least 0, see `roadsense.envs.reward`.
        needless_braking_weight: reward for braking beyond what is needed, at most 0: the less, the calmer.
        jerk_weight: reward for harsh changes of acceleration, at most 0: the less, the gentler and the later.
        blind_following_weight: reward for driving on close to a leader that is not heard, at most 0: the less, the
            longer the gap under a bad radio.
        sampler: `uniform`, or `plr`: scenarios whose value is learned worst come more often. PLR with PPO only.
        log_interval: steps between two lines of metrics, at least one rollout.
        checkpoint_interval: steps between two checkpoints, at least one rollout. All environments begin anew at each.
        eval_interval: steps between two evaluations on held-out scenarios, which run beside the training; 0 for none.
        leave_out_base: name of a base road whose scenarios are not trained on, to see what a policy does on a road that
            it never saw.
        eval_dir: held-out scenarios; by default `eval` beside a dataset's `train`, and no evaluation without one.
        eval_episodes: episodes of an evaluation, spread over its scenarios.
        eval_workers: processes that evaluate.
        max_deaths: worker processes that may die before the training ends with the reasons.
        resume: a stopped or broken run to go on with; its own settings hold, and no others may be given.
        allow_other_dataset: go on even if `dataset_dir` holds other scenarios than the run began with.

    Example:
        >>> import roadsense as rs
        >>> config = rs.TrainConfig("scenarios/small/train", run_dir="runs/long", preset="overnight")
        >>> config.total_timesteps
        50000000
    """

    dataset_dir: str = "scenarios/dataset_v1/train"
    run_dir: str | None = None
    preset: str = "default"
    algorithm: str = "ppo"
    total_timesteps: int = 1_600_000
    imitation_timesteps: int = 150_000
    n_workers: int = 0
    seed: int = 0
    seeds: tuple[int, ...] = ()
    learning_rate: float = 3e-4
    schedule: str = "linear"
    rollout_steps: int = 512
    batch_size: int = 1024
    n_epochs: int = 5
    gamma: float = 0.98
    gae_lambda: float = 0.9
    clip_range: float = 0.2
    entropy_weight: float = 0.0
    log_std_init: float = -3.0
    buffer_size: int = 300_000
    learning_starts: int = 10_000
    gradient_steps: int = 1
    n_units: int = 32
    net_width: int = 64
    v2v: str = "scenario"
    v2v_randomised: bool = True
    penetration: float = 0.0
    hazard_probability: float = 0.85
    stopped_share: float = 0.05
    cut_in_share: float = 0.0
    leader_share: float = 0.6
    hazard_deceleration_min_mps2: float = 5.0
    episode_steps: int = 500
    early_braking_weight: float = RewardWeights.early_braking
    needless_braking_weight: float = RewardWeights.needless_braking
    jerk_weight: float = RewardWeights.jerk
    blind_following_weight: float = RewardWeights.blind_following
    sampler: str = "uniform"
    log_interval: int = 4_000
    checkpoint_interval: int = 200_000
    eval_interval: int = 200_000
    leave_out_base: str | None = None
    eval_dir: str | None = None
    eval_episodes: int = 100
    eval_workers: int = 1
    max_deaths: int = 10
    resume: str | None = None
    allow_other_dataset: bool = False

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"Expected {name} of {', '.join(allowed)}, got {getattr(self, name)!r}.")
        defaults = {field.name: field.default for field in fields(self)}
        for name, value in PRESETS[self.preset].items():
            if getattr(self, name) == defaults[name]:
                object.__setattr__(self, name, value)
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise InputError(f"Expected {name} of at least {least}, got {getattr(self, name)}.")
        object.__setattr__(self, "seeds", tuple(self.seeds))  # JSON and notebooks give a list
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise InputError(f"Expected seeds that differ, each of at least 0, got {self.seeds}.")
        if not self.learning_rate > 0:
            raise InputError(f"Expected learning_rate above 0, got {self.learning_rate}.")
        if self.sampler == "plr" and self.algorithm != "ppo":
            raise InputError(
                f"Expected algorithm ppo with the sampler plr, which scores by its advantages, got {self.algorithm}."
            )
        self.env_config()

    def env_config(self) -> EnvConfig:
        """Returns the environment's settings."""
        return EnvConfig(
            n_steps=self.episode_steps,
            v2v=self.v2v,
            v2v_randomised=self.v2v_randomised,
            penetration=self.penetration,
            step_info=False,
            weights=RewardWeights(
                early_braking=self.early_braking_weight,
                needless_braking=self.needless_braking_weight,
                jerk=self.jerk_weight,
                blind_following=self.blind_following_weight,
            ),
            hazards=HazardRanges(
                probability=self.hazard_probability,
                stopped_share=self.stopped_share,
                cut_in_share=self.cut_in_share,
                leader_share=self.leader_share,
                deceleration_min_mps2=self.hazard_deceleration_min_mps2,
            ),
        )


def name_run(config: TrainConfig) -> TrainConfig:
    """Returns settings whose run folder has a name, so that it can be looked at before it is there."""
    is_named = config.run_dir or config.resume
    return config if is_named else replace(config, run_dir=f"runs/{time.strftime('%Y%m%d-%H%M%S')}")


def complete(config: TrainConfig) -> TrainConfig:
    """Returns settings with the number of workers measured and the run folder named."""
    n_workers = config.n_workers or WORKERS_PER_CORE * len(os.sched_getaffinity(0))
    return replace(name_run(config), n_workers=n_workers)


def restore_config(saved: Mapping[str, Any], folder: Path, asked: TrainConfig) -> TrainConfig:
    """Returns the settings a run goes on with: its own, wherever its folder lies now.

    Args:
        saved: what its `config.json` holds.
        folder: where it lies.
        asked: what the caller gave beside `resume`.

    Raises:
        InputError: if `asked` holds another setting, or `saved` is of another version: it lacks some, or has others.
    """
    known = {field.name: field.default for field in fields(TrainConfig)}
    differing = sorted(set(saved) ^ set(known))
    if differing:
        raise InputError(
            f"{folder}: expected the settings of this version, {differing} are missing or not known. "
            "Go on with the version it began with."
        )
    free = {"resume", "allow_other_dataset"} | ({"dataset_dir", "eval_dir"} if asked.allow_other_dataset else set())
    given = {name: getattr(asked, name) for name in known if getattr(asked, name) != known[name]}
    wrong = sorted(given.keys() - free)
    if wrong:
        raise InputError(
            f"A resumed run keeps its settings, got {', '.join(wrong)} beside resume. Leave them out, or begin a new "
            "run. (Another dataset_dir needs --allow_other_dataset.)"
        )
    moved = {name: value for name, value in given.items() if name in ("dataset_dir", "eval_dir")}
    return TrainConfig(**{**saved, **moved, "run_dir": str(folder), "resume": None, "allow_other_dataset": False})
