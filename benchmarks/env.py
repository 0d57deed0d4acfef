"""How near the environment comes to bare SUMO, in one run: `python benchmarks/env.py [--n-episodes N]`.

The same episodes (scenario, seed, steps, warm-up) are driven by bare libsumo, by SumoConnection, by ConvoyEnv with its
radio muted, by ConvoyEnv, and by ConvoyEnv over TraCI, in turns, resets included; the last line is JSON.
Ratios are what counts: a shared machine makes all of them slower.
"""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import libsumo
import numpy as np
import tyro

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.episode import EnvConfig
from roadsense.envs.sumo_connection import OPTIONS, SumoConnection
from roadsense.scenario import Scenario, open_scenario

N_STEPS = 500
STEP_LENGTH_S = 0.1
ACTION = np.zeros(1, np.float32)
ROOT = Path(__file__).parents[1]
BASES = sorted((ROOT / "scenarios" / "base").glob("*/scenario.sumocfg"))


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_episodes: episodes of each kind on each road.
    """

    n_episodes: int = 8


def drive_bare(scenario: Scenario, seed: int) -> int:
    """Loads and steps a scenario with nothing around libsumo."""
    arguments = ["-c", str(scenario.config_path), "--seed", str(seed), "--step-length", str(STEP_LENGTH_S), *OPTIONS]
    libsumo.load(arguments)
    libsumo.simulationStep(scenario.convoy_depart_s)
    for _ in range(N_STEPS):
        libsumo.simulationStep()
    return N_STEPS


def drive_connection(scenario: Scenario, seed: int, connection: SumoConnection) -> int:
    """The same through SumoConnection, reading the convoy's states and the ego's leader."""
    connection.reload(scenario.config_path, seed)
    connection.run_until(scenario.convoy_depart_s + STEP_LENGTH_S)
    for _ in range(N_STEPS):
        connection.step()
        connection.read_states(scenario.convoy_ids)
        connection.find_leader(scenario.ego_id)
    return N_STEPS


def drive_env(env: ConvoyEnv, seed: int, resets_s: list[float], v2v: str = "esp_now") -> int:
    """An episode of the environment; its driver alone, no hazard, as bare SUMO has none."""
    started_s = time.perf_counter()
    env.reset(seed=seed, options={"hazard": False, "v2v": v2v})
    resets_s.append(time.perf_counter() - started_s)
    n_steps, ended = 0, False
    while not ended:
        _, _, terminated, truncated, _ = env.step(ACTION)
        ended = terminated or truncated
        n_steps += 1
    return n_steps


def steps_per_s(drive: Callable[[int], int], seeds: range) -> list[float]:
    """Returns the speed of each episode."""
    speeds = []
    for seed in seeds:
        started_s = time.perf_counter()
        n_steps = drive(seed)
        speeds.append(n_steps / (time.perf_counter() - started_s))
    return speeds


def measure(config_path: Path, n_episodes: int) -> dict[str, float]:
    """Measures one road; the kinds take turns episode by episode, so that noise hits all alike."""
    scenario = open_scenario(config_path)
    speeds: dict[str, list[float]] = {"bare": [], "connection": [], "env_muted": [], "env": [], "env_traci": []}
    resets_s: list[float] = []
    connection, env = SumoConnection(STEP_LENGTH_S), ConvoyEnv([config_path], config=EnvConfig(step_info=False))
    remote = ConvoyEnv([config_path], config=EnvConfig(step_info=False, backend="traci"))
    for seed in range(n_episodes):
        connection.reload(config_path, 0)
        speeds["bare"] += steps_per_s(lambda s: drive_bare(scenario, s), range(seed, seed + 1))
        speeds["connection"] += steps_per_s(lambda s: drive_connection(scenario, s, connection), range(seed, seed + 1))
        connection.close()
        env.reset(seed=0)
        speeds["env_muted"] += steps_per_s(lambda s: drive_env(env, s, [], "muted"), range(seed, seed + 1))
        speeds["env"] += steps_per_s(lambda s: drive_env(env, s, resets_s), range(seed, seed + 1))
        env.close()
        speeds["env_traci"] += steps_per_s(lambda s: drive_env(remote, s, []), range(seed, seed + 1))
    remote.close()
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    return {
        **{f"{name}_steps_per_s": round(value) for name, value in medians.items()},
        "connection_to_bare": round(medians["connection"] / medians["bare"], 3),
        "muted_to_bare": round(medians["env_muted"] / medians["bare"], 3),
        "traci_to_bare": round(medians["env_traci"] / medians["bare"], 3),
        "ratio_to_bare": round(medians["env"] / medians["bare"], 3),
        "reset_p50_ms": round(1e3 * float(np.percentile(resets_s, 50)), 2),
        "reset_p95_ms": round(1e3 * float(np.percentile(resets_s, 95)), 2),
        "worker_rss_mb": measure_worker(config_path),
    }


def measure_worker(config_path: Path) -> int:
    """Returns the largest memory of a fresh process that drives an episode."""
    code = (
        "import resource, sys; from benchmarks.env import *; env = ConvoyEnv([sys.argv[1]]); drive_env(env, 0, []);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )
    command = [sys.executable, "-c", code, str(config_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return int(done.stdout)


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
