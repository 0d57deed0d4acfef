"""How hard a scenario is: figures of one standard driver in one standard hazard, without assist.

Driver, hazard and seed are the same everywhere, so that only the scenario differs. The measure is the smallest time to
collision, as in Minderhoud and Bovy, "Extended time-to-collision measures for road traffic safety assessment", 2001.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from roadsense.envs.config import EnvConfig
from roadsense.envs.driver_profile import DriverProfile
from roadsense.envs.hazard import Hazard
from roadsense.episodes.drive import drive
from roadsense.episodes.plan import Plan
from roadsense.episodes.run import EPISODE_LIMIT_S, Worker
from roadsense.errors import SimulationError
from roadsense.policies.rules import Unassisted
from roadsense.utils.progress import progress_bar
from roadsense.utils.worker_processes import map_in_workers

STANDARD_DRIVER = DriverProfile(
    reaction_time_s=1.2, time_headway_s=1.0, minimum_gap_m=2.5, speed_factor=1.05, max_deceleration_mps2=7.0
)
"""Reacts like the average driver of the environment, and keeps the longest headway of `DriverRanges`: with the average
headway this driver collides in half of all scenarios, and a measure that is zero for half of them cannot
rank the harder ones."""

STANDARD_HAZARD = Hazard(car=0, onset_s=8.0, deceleration_mps2=6.0, final_speed_share=0.0, hold_s=3.0)
"""The ego's direct leader in the convoy brakes to standstill. If it is slower than 5 m/s at the onset, for example
at a red light, it brakes as soon as it is faster."""

STANDARD_SEED = 0
WINDOW_S = 10.0
"""Time after the hazard's onset that counts: braking from 30 m/s and the standstill take 8 s."""

DECIMALS = 3
_CONFIG = EnvConfig(v2v="muted", v2v_randomised=False)

Difficulty = dict[str, float | None]


def measure_difficulty(config_paths: Sequence[Path], workers: int = 0) -> list[Difficulty]:
    """Drives each scenario once, in worker processes, and returns how hard each is, in the order given.

    The figures are about the car directly ahead of the ego. If another car has cut in, that is not the car that brakes.

    Args:
        config_paths: `.sumocfg` of each scenario.
        workers: number of processes; 0: one for each core. It does not change the figures.

    Returns:
        For each scenario, over `WINDOW_S` from the hazard's onset, all finite or None:

        - `hazard_onset_s`: when the leader began to brake, after the episode's start; None if it never did, because
          it was never faster than 5 m/s from 8 s on or left the road. Then every figure but `collision` is None.
        - `min_ttc_s`: the smallest time to collision, smaller is harder; None also if the ego never approached a car.
        - `min_gap_m`: the smallest gap, 0 at contact; None also if there never was a car ahead.
        - `impact_speed_mps`: speed difference at a collision with the car ahead, else 0.
        - `collision`: 1 if the ego collided, else 0.

    Raises:
        ScenarioError: if a scenario cannot be opened.
        SimulationError: if SUMO refuses a scenario or fails in it; it names the scenario.
        MachineError: if SUMO crashes again and again in a scenario; it names the scenario.
    """
    paths = list(config_paths)
    n_workers = max(1, min(workers or os.cpu_count() or 1, len(paths)))
    found: list[Difficulty] = []
    with progress_bar(len(paths), "measuring difficulty", "scenario") as bar:
        # libsumo holds one simulation a process, so none is opened in this one.
        for difficulty in map_in_workers(_measure, paths, Worker(_CONFIG), n_workers, EPISODE_LIMIT_S):
            found.append(difficulty)
            bar.update()
    return found


def _measure(worker: Worker, config_path: Path) -> Difficulty:
    env = worker.open_env(Plan("unassisted", config_path, STANDARD_SEED, True))
    options = {"scenario": config_path, "hazard": STANDARD_HAZARD, "driver": STANDARD_DRIVER}
    observation, _ = env.reset(seed=STANDARD_SEED, options=options)
    onset_s, seen = math.inf, []
    for number, step in enumerate(drive(env, Unassisted(), observation)):
        info, time_s = step.info, number * _CONFIG.step_length_s
        if "error" in info:
            raise SimulationError(f"{config_path}: SUMO failed in it: {info['error']}")
        if "gap_m" not in info:  # the ego reached the end of its route
            break
        if info["hazard_active"]:
            onset_s = min(onset_s, time_s)
        if onset_s < math.inf or info["collision"]:
            seen.append(info)
        if time_s >= onset_s + WINDOW_S:
            break
    return _judge(onset_s, seen)


def _judge(onset_s: float, seen: Sequence[dict[str, Any]]) -> Difficulty:
    collided = bool(seen) and bool(seen[-1]["collision"])
    if onset_s == math.inf:
        nothing: Difficulty = dict.fromkeys(("hazard_onset_s", "min_ttc_s", "min_gap_m", "impact_speed_mps"))
        return nothing | {"collision": float(collided)}
    last = seen[-1]
    ahead = collided and last["gap_m"] <= 0.5
    return {
        "hazard_onset_s": round(onset_s, DECIMALS),
        "min_ttc_s": _finite(min(info["ttc_s"] for info in seen)),
        "min_gap_m": _finite(max(0.0, min(info["gap_m"] for info in seen))),
        "impact_speed_mps": _finite(max(0.0, last["speed_mps"] - last["leader_speed_mps"])) if ahead else 0.0,
        "collision": float(collided),
    }


def _finite(value: float) -> float | None:
    return round(float(value), DECIMALS) if math.isfinite(value) else None
