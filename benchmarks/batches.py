"""What larger batches cost in learning: `python benchmarks/batches.py --dataset_dir DATASET --folder runs/batches`.

Trains with each batch size and seed for the same number of steps, then drives every policy, without noise, through the
same held-out episodes of the training's own environment. The return is what the training maximises, so it tells more
than collisions, of which there are few. A study that was stopped goes on where it was. The last line is JSON.
"""

import json
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.policies.trained import load_policy
from roadsense.train_convoy import TrainConfig, train_policy

EVAL_SEED = 1000
"""Seed of the first held-out episode; the next one has the next seed."""


@dataclass(frozen=True)
class BatchStudy:
    """Settings.

    Attributes:
        dataset_dir: dataset with `train` and `eval`.
        folder: where the runs go; finished ones are not trained again.
        n_workers: workers of each training. With 512 steps of each, 32 make a rollout of 16,384.
        batch_sizes: batches to compare.
        seeds: seeds of the trainings.
        total_timesteps: steps of each training.
        n_episodes: held-out episodes for each policy.
    """

    dataset_dir: Path
    folder: Path
    n_workers: int = 32
    batch_sizes: tuple[int, ...] = (1024, 4096, 8192)
    seeds: tuple[int, ...] = (0, 1, 2)
    total_timesteps: int = 800_000
    n_episodes: int = 600


def train(study: BatchStudy, batch_size: int, seed: int) -> Path:
    """Trains unless it is done; returns the run's folder."""
    folder = study.folder / f"workers_{study.n_workers}_batch_{batch_size}_seed_{seed}"
    if not (folder / "model.zip").is_file():
        config = TrainConfig(
            dataset_dir=str(study.dataset_dir),
            run_dir=str(folder),
            n_workers=study.n_workers,
            batch_size=batch_size,
            seed=seed,
            total_timesteps=study.total_timesteps,
            eval_interval=0,
        )
        train_policy(config)
    return folder


def drive(model_path: Path, scenario_dir: Path, config: EnvConfig, seeds: range) -> list[float]:
    """Returns the return of an episode for each seed."""
    policy = load_policy(model_path)
    returns = []
    with ConvoyEnv(scenario_dir=scenario_dir, config=config) as env:
        for seed in seeds:
            seen, _ = env.reset(seed=seed)
            rewards, is_over = [], False
            while not is_over:
                seen, reward, terminated, truncated, _ = env.step(policy(seen))
                rewards.append(reward)
                is_over = terminated or truncated
            returns.append(sum(rewards))
    return returns


def judge(study: BatchStudy, folder: Path, config: EnvConfig) -> float:
    """Returns the mean return on the held-out scenarios; it is written into the run's folder."""
    path = folder / f"return_{study.n_episodes}.json"
    if not path.is_file():
        halves = [range(EVAL_SEED + first, EVAL_SEED + study.n_episodes, 2) for first in (0, 1)]
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            jobs = [
                pool.submit(drive, folder / "model.zip", study.dataset_dir / "eval", config, half) for half in halves
            ]
            path.write_text(json.dumps([value for job in jobs for value in job.result()]))
    return statistics.mean(json.loads(path.read_text()))


def main(study: BatchStudy) -> None:
    """Runs the study and prints a row for each training."""
    returns: dict[int, list[float]] = {}
    for seed in study.seeds:
        for batch_size in study.batch_sizes:
            folder = train(study, batch_size, seed)
            returns.setdefault(batch_size, []).append(judge(study, folder, TrainConfig().env_config()))
            print(f"batch {batch_size}, seed {seed}: return {returns[batch_size][-1]:.2f}", flush=True)
    print(json.dumps({"n_workers": study.n_workers, "returns": returns}))


if __name__ == "__main__":
    main(tyro.cli(BatchStudy))
