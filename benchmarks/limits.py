"""What a training is measured against: bare SUMO on every core, and environments that nobody waits for."""

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from env import Bare

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.episode import EnvConfig
from roadsense.scenario import open_scenario

PATH = Path(__file__).parents[1] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
ENV_CONFIG = EnvConfig(step_info=False)
ALONE_S = 4.0


def run_bare(link: Connection) -> None:
    """Steps bare SUMO through episodes for a while, and says how many steps a second that were."""
    bare, scenario = Bare(), open_scenario(PATH)
    bare.drive(scenario, 0)
    link.send(None)
    link.recv()
    n_steps, begin_s = 0, time.perf_counter()
    while time.perf_counter() - begin_s < ALONE_S:
        n_steps += bare.drive(scenario, n_steps)[2]
    link.send((n_steps / (time.perf_counter() - begin_s), 0.0))


def run_alone(link: Connection) -> None:
    """Steps one environment that nobody waits for; says how many steps a second, and the CPU time of one in us."""
    env, action = ConvoyEnv([PATH], config=ENV_CONFIG), np.zeros(1, np.float32)
    env.reset(seed=0)
    link.send(None)
    link.recv()
    n_steps, begin_s, begin_cpu_s = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - begin_s < ALONE_S:
        _, _, terminated, truncated, _ = env.step(action)
        n_steps += 1
        if terminated or truncated:
            env.reset()
    elapsed_s, cpu_s = time.perf_counter() - begin_s, time.process_time() - begin_cpu_s
    link.send((n_steps / elapsed_s, 1e6 * cpu_s / n_steps))


def run_on_all_cores(target: Callable[[Connection], None]) -> tuple[float, float]:
    """Runs a function in one process a core, all at the same time; returns summed steps/s and mean us."""
    context = multiprocessing.get_context("spawn")
    links = []
    for _ in os.sched_getaffinity(0):
        link, far_end = context.Pipe()
        context.Process(target=target, args=(far_end,), daemon=True).start()
        links.append(link)
    for link in links:
        link.recv()
    for link in links:
        link.send(None)
    found = [link.recv() for link in links]
    return sum(speed for speed, _ in found), statistics.mean(cpu_us for _, cpu_us in found)
