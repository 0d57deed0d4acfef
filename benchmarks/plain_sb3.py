"""Trains PPO, SAC and TQC as their libraries do by default, for the rows of `docs/reference/leaderboard.md`.

`python -m benchmarks.plain_sb3 runs/plain` writes `ppo.zip`, `sac.zip` and `tqc.zip`; then
`roadsense benchmark runs/plain/ppo.zip` drives them.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import gymnasium
import tyro
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC

from roadsense.utils.bounds import bounded, check_bounds
from roadsense.utils.command import run_with_options

ALGORITHMS = {"ppo": PPO, "sac": SAC, "tqc": TQC}


@dataclass(frozen=True)
class PlainConfig:
    """Settings of the trainings.

    Attributes:
        folder: folder for the zips; those that are there already are not trained again.
        algorithms: which to train.
        timesteps: steps of each.
        seed: seed of each.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    timesteps: int = bounded(50_000, 1, 100_000_000)
    seed: int = bounded(0, 0, 2**31 - 1)

    def __post_init__(self) -> None:
        check_bounds(self)


def train_plain(config: PlainConfig) -> None:
    """Trains each algorithm on the base roads, with the default settings of environment and library."""
    env = gymnasium.make("roadsense.envs:roadsense/Convoy-v0", scenario_dir="scenarios/base")
    for name in config.algorithms:
        path = config.folder / f"{name}.zip"
        if not path.is_file():
            model = ALGORITHMS[name]("MultiInputPolicy", env, seed=config.seed, device="cpu")
            model.learn(config.timesteps).save(path)
            sys.stdout.write(f"{path}\n")
    env.close()


if __name__ == "__main__":
    sys.exit(run_with_options(train_plain, PlainConfig, "python -m benchmarks.plain_sb3"))
