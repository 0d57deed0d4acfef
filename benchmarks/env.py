"""How near the environment comes to bare SUMO, in one run: `python benchmarks/env.py [--n-episodes N]`.

The same episodes (scenario, seed, steps, warm-up) are driven by bare libsumo, by SumoConnection, by ConvoyEnv with its
radio muted, by ConvoyEnv, and by ConvoyEnv over TraCI, resets included. Each kind lives in a process of its own, and
they take turns episode by episode, one at a time. The last line is JSON. A shared machine makes all of them slower, so
ratios are what counts: the median over the episodes of the speed in one to that of bare SUMO just before.
"""

import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import libsumo
import numpy as np
import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.sumo.connection import OPTIONS, SumoConnection
from roadsense.scenarios.scenario import Scenario, open_scenario

N_STEPS = 500
STEP_LENGTH_S = 0.1
ACTION = np.zeros(1, np.float32)
ROOT = Path(__file__).parents[1]
BASES = sorted((ROOT / "scenarios" / "base").glob("*/scenario.sumocfg"))

Timing = tuple[float, float, int]
"""Seconds for the reset, seconds for the steps, number of steps."""


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_episodes: episodes of each kind on each road.
    """

    n_episodes: int = 10


class Bare:
    """Nothing around libsumo."""

    def __init__(self) -> None:
        self._is_open = False

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Loads and steps a scenario."""
        options = ["-c", str(scenario.config_path), "--seed", str(seed), "--step-length", str(STEP_LENGTH_S), *OPTIONS]
        begin_s = time.perf_counter()
        if self._is_open:
            libsumo.load(options)
        else:
            libsumo.start(["sumo", *options])
        self._is_open = True
        libsumo.simulationStep(scenario.convoy_depart_s + STEP_LENGTH_S)
        loaded_s = time.perf_counter()
        for _ in range(N_STEPS):
            libsumo.simulationStep()
        return loaded_s - begin_s, time.perf_counter() - loaded_s, N_STEPS


class Door:
    """SumoConnection, reading the convoy's states and the ego's leader."""

    def __init__(self) -> None:
        self._connection = SumoConnection(STEP_LENGTH_S)

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Loads and steps a scenario."""
        connection = self._connection
        begin_s = time.perf_counter()
        connection.reload(scenario.config_path, seed)
        connection.run_until(scenario.convoy_depart_s + STEP_LENGTH_S)
        loaded_s = time.perf_counter()
        for _ in range(N_STEPS):
            connection.step()
            connection.read_states(scenario.convoy_ids)
            connection.find_leader(scenario.ego_id)
        return loaded_s - begin_s, time.perf_counter() - loaded_s, N_STEPS


class Environment:
    """ConvoyEnv, its driver alone and without a hazard, as bare SUMO has none."""

    def __init__(self, v2v: str = "esp_now", backend: str = "libsumo") -> None:
        config = EnvConfig(n_steps=N_STEPS, v2v=v2v, step_info=False, backend=backend)
        self._env = ConvoyEnv(BASES, config=config)

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Drives an episode."""
        begin_s = time.perf_counter()
        self._env.reset(seed=seed, options={"scenario": scenario.config_path, "hazard": False})
        loaded_s = time.perf_counter()
        n_steps, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = self._env.step(ACTION)
            over = terminated or truncated
            n_steps += 1
        return loaded_s - begin_s, time.perf_counter() - loaded_s, n_steps


KINDS: dict[str, Callable[[], Bare | Door | Environment]] = {
    "bare": Bare,
    "connection": Door,
    "env_muted": partial(Environment, v2v="muted"),
    "env": Environment,
    "env_traci": partial(Environment, backend="traci"),
}


def serve(link: Connection, kind: str) -> None:
    """Drives the episodes it is asked for, and says what each took; at the end what memory it had."""
    driver = KINDS[kind]()
    for path, seed in iter(link.recv, None):
        link.send(driver.drive(open_scenario(path), seed))
    link.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


class Process:
    """A process that drives one kind of episodes.

    Args:
        kind: of `KINDS`.
    """

    def __init__(self, kind: str):
        context = multiprocessing.get_context("spawn")
        self._link, far_end = context.Pipe()
        context.Process(target=serve, args=(far_end, kind), daemon=True).start()

    def drive(self, path: Path, seed: int) -> Timing:
        """Drives an episode."""
        self._link.send((path, seed))
        return self._link.recv()

    def end(self) -> int:
        """Ends it; returns the most memory it had, in MB."""
        self._link.send(None)
        return self._link.recv()


def measure(path: Path, n_episodes: int) -> dict[str, float]:
    """Measures one road; the first episode of each kind warms it up."""
    processes = {kind: Process(kind) for kind in KINDS}
    timings: dict[str, list[Timing]] = {kind: [] for kind in KINDS}
    for seed in range(n_episodes + 1):
        for kind, process in processes.items():
            timings[kind].append(process.drive(path, seed))
    memory_mb = {kind: process.end() for kind, process in processes.items()}
    timings = {kind: found[1:] for kind, found in timings.items()}
    speeds = {
        kind: np.array([steps / (reset_s + steps_s) for reset_s, steps_s, steps in found])
        for kind, found in timings.items()
    }
    ratios = {kind: round(float(np.median(speed / speeds["bare"])), 3) for kind, speed in speeds.items()}
    resets_ms = {kind: [1e3 * reset_s for reset_s, _, _ in found] for kind, found in timings.items()}
    return {
        **{f"{kind}_steps_per_s": round(float(np.median(speed))) for kind, speed in speeds.items()},
        **{f"{kind}_to_bare": ratio for kind, ratio in ratios.items() if kind not in ("bare", "env")},
        "ratio_to_bare": ratios["env"],
        "bare_reset_p50_ms": round(float(np.percentile(resets_ms["bare"], 50)), 2),
        "reset_p50_ms": round(float(np.percentile(resets_ms["env"], 50)), 2),
        "reset_p95_ms": round(float(np.percentile(resets_ms["env"], 95)), 2),
        "worker_rss_mb": memory_mb["env"],
    }


def main() -> None:
    """Measures every base scenario and prints a line for each, then all as JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    results = {}
    for path in BASES:
        results[path.parent.name] = measure(path, config.n_episodes)
        sys.stderr.write(f"{path.parent.name:20} {results[path.parent.name]}\n")
    ratios = [result["ratio_to_bare"] for result in results.values()]
    print(json.dumps({"ratio_to_bare": round(statistics.median(ratios), 3), "scenarios": results}))


if __name__ == "__main__":
    main()
