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

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.scenarios.scenario import open_scenario

PATH = Path(__file__).parents[1] / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"
ENV_CONFIG = EnvConfig(step_info=False)
TURN_S = 2.0


class OnAllCores:
    """A process a core that steps whenever it is its turn.

    Args:
        target: steps for a while on every message, and answers how many steps that were, in how many seconds on the
            wall and of CPU time.
    """

    def __init__(self, target: Callable[[Connection], None]):
        context = multiprocessing.get_context("spawn")
        self._links, self._processes = [], []
        for _ in os.sched_getaffinity(0):
            link, far_end = context.Pipe()
            self._processes.append(context.Process(target=target, args=(far_end,), daemon=True))
            self._processes[-1].start()
            self._links.append(link)
        for link in self._links:
            link.recv()

    def take_turn(self) -> tuple[float, float]:
        """Steps in all processes at the same time; returns summed steps/s and the mean CPU time of a step in us."""
        for link in self._links:
            link.send(None)
        found = [link.recv() for link in self._links]
        speeds, cpu_us = zip(*((n / wall_s, 1e6 * cpu_s / n) for n, wall_s, cpu_s in found), strict=True)
        return sum(speeds), statistics.mean(cpu_us)

    def close(self) -> None:
        """Ends the processes."""
        for process in self._processes:
            process.terminate()
            process.join()


def step_bare(link: Connection) -> None:
    """Steps bare SUMO through episodes, in turns."""
    bare, scenario = Bare(), open_scenario(PATH)
    seed = 0
    bare.drive(scenario, seed)

    def _drive() -> int:
        nonlocal seed
        seed += 1
        return bare.drive(scenario, seed).n_steps

    _take_turns(link, _drive)


def step_env(link: Connection) -> None:
    """Steps one environment that nobody waits for, in turns."""
    env, action = ConvoyEnv([PATH], config=ENV_CONFIG), np.zeros(1, np.float32)
    env.reset(seed=0)

    def _step() -> int:
        _, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            env.reset()
        return 1

    _take_turns(link, _step)


def _take_turns(link: Connection, drive: Callable[[], int]) -> None:
    link.send(None)
    while True:
        link.recv()
        n_steps, begin_s, begin_cpu_s = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - begin_s < TURN_S:
            n_steps += drive()
        link.send((n_steps, time.perf_counter() - begin_s, time.process_time() - begin_cpu_s))
