"""How near the environment comes to bare SUMO, in one run: `python benchmarks/env.py [--n-episodes N]`.

The same episodes (scenario, seed, steps, warm-up) are driven by bare libsumo, by SumoConnection, by ConvoyEnv with its
radio muted, by ConvoyEnv, by ConvoyEnv as plain Python (`ROADSENSE_PURE=1`), and by ConvoyEnv over TraCI, resets
included. Each kind has a process of its own, and they take turns episode by episode, one at a time. The last line is
JSON. A shared machine makes all of them slower, so compare ratios: the median over the episodes of the speed of one
kind to that of bare SUMO just before, on the wall and by CPU time.
"""

import json
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import libsumo
import numpy as np
import tyro

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.sumo.connection import OPTIONS, SumoConnection
from roadsense.scenarios.scenario import Scenario, open_scenario
from roadsense.utils.compiled import PURE_VARIABLE, is_compiled

N_STEPS = 500
STEP_LENGTH_S = 0.1
ACTION = np.zeros(1, np.float32)
ROOT = Path(__file__).parents[1]
BASES = sorted((ROOT / "scenarios" / "base").glob("*/scenario.sumocfg"))


class Timing(NamedTuple):
    """What an episode took: seconds for the reset and for the steps, CPU seconds for both, and the number of steps."""

    reset_s: float
    steps_s: float
    cpu_s: float
    n_steps: int


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_episodes: episodes of each kind on each road.
        kinds: what is measured beside bare SUMO.
    """

    n_episodes: int = 10
    kinds: tuple[str, ...] = ("connection", "env_muted", "env", "env_pure", "env_traci")


def take_time(begin_s: float, loaded_s: float, begin_cpu_s: float, n_steps: int) -> Timing:
    """Returns what an episode took that ends now."""
    return Timing(loaded_s - begin_s, time.perf_counter() - loaded_s, time.process_time() - begin_cpu_s, n_steps)


class Bare:
    """Nothing around libsumo."""

    def __init__(self) -> None:
        self._is_open = False

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Loads and steps a scenario."""
        options = ["-c", str(scenario.config_path), "--seed", str(seed), "--step-length", str(STEP_LENGTH_S), *OPTIONS]
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        if self._is_open:
            libsumo.load(options)
        else:
            libsumo.start(["sumo", *options])
        self._is_open = True
        libsumo.simulationStep(scenario.convoy_depart_s + STEP_LENGTH_S)
        loaded_s = time.perf_counter()
        for _ in range(N_STEPS):
            libsumo.simulationStep()
        return take_time(begin_s, loaded_s, begin_cpu_s, N_STEPS)


class Door:
    """SumoConnection, reading the convoy's states and the ego's leader."""

    def __init__(self) -> None:
        self._connection = SumoConnection(STEP_LENGTH_S)

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Loads and steps a scenario."""
        connection = self._connection
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        connection.reload(scenario.config_path, seed)
        connection.run_until(scenario.convoy_depart_s + STEP_LENGTH_S)
        loaded_s = time.perf_counter()
        for _ in range(N_STEPS):
            connection.step()
            connection.read_states(scenario.convoy_ids)
            connection.find_leader(scenario.ego_id)
        return take_time(begin_s, loaded_s, begin_cpu_s, N_STEPS)


class Environment:
    """ConvoyEnv, its driver alone and without a hazard, as bare SUMO has none."""

    def __init__(self, v2v: str = "esp_now", backend: str = "libsumo") -> None:
        config = EnvConfig(n_steps=N_STEPS, v2v=v2v, step_info=False, backend=backend)
        self._env = ConvoyEnv(BASES, config=config)

    def drive(self, scenario: Scenario, seed: int) -> Timing:
        """Drives an episode."""
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        self._env.reset(seed=seed, options={"scenario": scenario.config_path, "hazard": False})
        loaded_s = time.perf_counter()
        n_steps, over = 0, False
        while not over:
            _, _, terminated, truncated, _ = self._env.step(ACTION)
            over = terminated or truncated
            n_steps += 1
        return take_time(begin_s, loaded_s, begin_cpu_s, n_steps)


KINDS: dict[str, Callable[[], Bare | Door | Environment]] = {
    "bare": Bare,
    "connection": Door,
    "env_muted": partial(Environment, v2v="muted"),
    "env": Environment,
    "env_pure": Environment,
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
        pure = {PURE_VARIABLE: "1"} if kind == "env_pure" else {}
        with patch.dict(os.environ, pure):
            context.Process(target=serve, args=(far_end, kind), daemon=True).start()

    def drive(self, path: Path, seed: int) -> Timing:
        """Drives an episode."""
        self._link.send((path, seed))
        return self._link.recv()

    def end(self) -> int:
        """Ends it; returns the most memory it had, in MB."""
        self._link.send(None)
        return self._link.recv()


def measure(path: Path, n_episodes: int, kinds: Sequence[str]) -> dict[str, float]:
    """Measures one road; the first episode of each kind warms it up."""
    processes = {kind: Process(kind) for kind in ("bare", *kinds)}
    timings: dict[str, list[Timing]] = {kind: [] for kind in processes}
    for seed in range(n_episodes + 1):
        for kind, process in processes.items():
            timings[kind].append(process.drive(path, seed))
    memory_mb = {kind: process.end() for kind, process in processes.items()}
    timings = {kind: found[1:] for kind, found in timings.items()}
    speeds = {kind: [one.n_steps / (one.reset_s + one.steps_s) for one in found] for kind, found in timings.items()}
    cpu_speeds = {kind: [one.n_steps / one.cpu_s for one in found] for kind, found in timings.items()}
    resets_ms = {kind: [1e3 * one.reset_s for one in found] for kind, found in timings.items()}
    result = {f"{kind}_steps_per_s": round(statistics.median(speed)) for kind, speed in speeds.items()}
    for kind in kinds:
        result[f"{kind}_to_bare"] = to_bare(speeds, kind)
        result[f"{kind}_to_bare_by_cpu"] = to_bare(cpu_speeds, kind)
        result[f"{kind}_rss_mb"] = memory_mb[kind]
    for kind in ("bare", *kinds):
        result[f"{kind}_reset_p50_ms"] = round(float(np.percentile(resets_ms[kind], 50)), 2)
        result[f"{kind}_reset_p95_ms"] = round(float(np.percentile(resets_ms[kind], 95)), 2)
    return result


def to_bare(speeds: dict[str, list[float]], kind: str) -> float:
    """Returns the median over the episodes of the speed of one kind to that of bare SUMO."""
    return round(float(np.median(np.divide(speeds[kind], speeds["bare"]))), 3)


def main() -> None:
    """Measures every base scenario and prints a line for each, then all as JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    results = {}
    for path in BASES:
        results[path.parent.name] = measure(path, config.n_episodes, config.kinds)
        sys.stderr.write(f"{path.parent.name:20} {results[path.parent.name]}\n")
    names = [f"{kind}_to_bare{by}" for kind in config.kinds for by in ("", "_by_cpu")]
    medians = {name: round(statistics.median(result[name] for result in results.values()), 3) for name in names}
    print(json.dumps({"compiled": is_compiled(), **medians, "scenarios": results}))


if __name__ == "__main__":
    main()
