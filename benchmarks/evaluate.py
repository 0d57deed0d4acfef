"""How long an evaluation takes, beside bare SUMO: `python benchmarks/evaluate.py [--n-episodes 300]`.

A policy of the default network (untrained: its speed is the same) drives hazards on the base roads, on all cores, as
`roadsense evaluate` drives them. Then bare libsumo drives the same episodes: same scenario, seed and number of steps,
loads included. The ratio is of processor time, which other work on the machine stretches less than the clock. The last
line is JSON.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libsumo
import numpy as np
import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.observation import EGO_FIELDS, MAX_PEERS, PEER_FIELDS
from roadsense.envs.sumo.connection import OPTIONS
from roadsense.episodes.plan import POLICY, Plan, Row
from roadsense.episodes.run import Worker
from roadsense.policies.actor import RELU, TANH, Actor, Layer
from roadsense.policies.actor_policy import NumpyActor
from roadsense.scenarios.scenario import open_scenario
from roadsense.utils.worker_processes import start_pool

BASES = sorted((Path(__file__).parents[1] / "scenarios" / "base").glob("*/scenario.sumocfg"))


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_episodes: episodes of one policy, spread over the base roads.
        workers: worker processes; 0 for one a core.
    """

    n_episodes: int = 300
    workers: int = 0


def make_actor(rng: np.random.Generator) -> NumpyActor:
    """Returns a policy of the default network with random weights that hardly brakes."""

    def layer(n_in: int, n_out: int, activation: str = "linear") -> Layer:
        weight = rng.normal(0, 0.1, (n_in, n_out)).astype(np.float32)
        return Layer(weight, np.zeros(n_out, np.float32), activation)

    return NumpyActor(
        Actor(
            {"ego": (len(EGO_FIELDS),), "peers": (MAX_PEERS, len(PEER_FIELDS)), "peer_mask": (MAX_PEERS,)},
            (layer(len(PEER_FIELDS), 32, RELU), layer(32, 32, RELU)),
            (layer(len(EGO_FIELDS) + 32, 64, TANH), layer(64, 64, TANH), layer(64, 1)),
            np.zeros(1, np.float32),
            np.ones(1, np.float32),
        )
    )


def drive_bare(task: tuple[Path, int, int]) -> float:
    """Drives an episode in bare libsumo and returns the processor time it took, in s."""
    path, seed, n_steps = task
    begin_s = open_scenario(path).convoy_depart_s
    started_s = time.process_time()
    arguments = ["-c", str(path), "--seed", str(seed), "--step-length", "0.1", *OPTIONS]
    if libsumo.isLoaded():
        libsumo.load(arguments)
    else:
        libsumo.start(["sumo", *arguments])
    libsumo.simulationStep(begin_s)
    for _ in range(n_steps):
        libsumo.simulationStep(0.0)
    return time.process_time() - started_s


_worker: Worker | None = None


def start_worker(worker: Worker) -> None:
    global _worker
    _worker = worker


def drive(plan: Plan) -> tuple[Row, float]:
    """Drives an episode as an evaluation does; returns its row and the processor time it took, in s."""
    started_s = time.process_time()
    row = _worker.run(plan)
    return row, time.process_time() - started_s


def measure(config: BenchmarkConfig) -> dict[str, Any]:
    n_workers = config.workers or os.cpu_count() or 1
    seeds = np.random.SeedSequence(0).generate_state(config.n_episodes).tolist()
    plans = [Plan(POLICY, BASES[place % len(BASES)], seed, True) for place, seed in enumerate(seeds)]
    worker = Worker(EnvConfig(step_info=False, watch_behind=True), make_actor(np.random.default_rng(0)))
    started_s = time.perf_counter()
    with start_pool(n_workers, ["roadsense.episodes.run"], start_worker, (worker,)) as pool:
        driven = list(pool.map(drive, plans))
    wall_s = time.perf_counter() - started_s
    steps = [round(row["duration_s"] / 0.1) for row, _ in driven]
    tasks = [(plan.config_path, row["sumo_seed"], n) for plan, (row, _), n in zip(plans, driven, steps, strict=True)]
    with start_pool(n_workers, ["libsumo"]) as pool:
        bare_s = sum(pool.map(drive_bare, tasks))
    cpu_s = sum(seconds for _, seconds in driven)
    return {
        "ratio_to_bare": round(bare_s / cpu_s, 3),
        "seconds": round(wall_s, 1),
        "cpu_seconds": round(cpu_s, 1),
        "episodes_per_s": round(config.n_episodes / wall_s, 2),
        "episodes_per_cpu_s": round(config.n_episodes / cpu_s, 2),
        "steps_per_cpu_s": round(sum(steps) / cpu_s),
        "seconds_for_300_on_two_idle_cores": round(cpu_s / config.n_episodes * 300 / 2, 1),
        "n_episodes": config.n_episodes,
        "failed": sum(bool(row["error"]) for row, _ in driven),
    }


def main() -> int:
    found = measure(tyro.cli(BenchmarkConfig, description=__doc__))
    for name, value in found.items():
        print(f"{name:36}{value}")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
