"""Compares our workers with those of two kept libraries: `python benchmarks/vector.py`.

The same environments, scenario and network for all, in turns: Gymnasium's `AsyncVectorEnv` with shared memory,
PufferLib's `vector.Multiprocessing` (zero copy) where it is installed, `ConvoyVecEnv.step`, and `ConvoyVecEnv.drive`,
in which the workers hold the policy. Nobody learns. PufferLib 1.0.1 is the newest that builds from the package index
alone; it needs an environment of its own, which also sees the packages of this one:

    python3.11 -m venv /tmp/puffer
    /tmp/puffer/bin/pip install --no-deps pufferlib==1.0.1 gym==0.23 pettingzoo==1.24.1
    echo "$PWD/.venv/lib/python3.11/site-packages" > /tmp/puffer/lib/python3.11/site-packages/roadsense.pth
    PYTHONPATH=. /tmp/puffer/bin/python benchmarks/vector.py

The last line is JSON.
"""

import importlib
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np
import torch
import tyro
from gymnasium import Wrapper
from gymnasium.spaces import Discrete
from gymnasium.vector import AsyncVectorEnv, AutoresetMode
from gymnasium.wrappers import TransformAction
from limits import ENV_CONFIG, PATH

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.policies.actor import read_actor
from roadsense.training.algorithms import build_model
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.env import ConvoyVecEnv
from roadsense.utils.compiled import is_compiled

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class VectorConfig:
    """Settings.

    Attributes:
        n_workers: numbers of workers, one environment each.
        n_rounds: in each, everything steps once.
        n_rows: steps of every worker in a turn, up to 512.
    """

    n_workers: tuple[int, ...] = (2, 4, 8)
    n_rounds: int = 5
    n_rows: int = 512


def make_env() -> ConvoyEnv:
    """Returns the environment that all of them step."""
    return ConvoyEnv([PATH], config=ENV_CONFIG)


class EndsOnly(Wrapper[Any, Any, Any, Any]):
    """Calls a cut episode ended: PufferLib 1.0.1 resets no other."""

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Steps the environment."""
        seen, reward, terminated, truncated, info = self.env.step(action)
        return seen, reward, terminated or truncated, False, info


def make_discrete_env() -> EndsOnly:
    """Returns it with 101 brakings to choose from: PufferLib 1.0.1 takes no continuous action."""
    return EndsOnly(TransformAction(make_env(), lambda share: np.array([share / 100], np.float32), Discrete(101)))


class Stepped:
    """Workers that wait for each other after every step, with the policy in the main process."""

    def __init__(self, workers: Any, model: Any, step: Callable[[np.ndarray], Arrays], seen: Arrays):
        self.workers, self._model, self._step, self._seen = workers, model, step, seen

    def take_turn(self, n_rows: int) -> None:
        """Steps every worker so many times."""
        for _ in range(n_rows):
            with torch.no_grad():
                tensors = {key: torch.as_tensor(value) for key, value in self._seen.items()}
                actions = self._model.policy(tensors)[0].numpy()
            self._seen = self._step(np.clip(actions, 0.0, 1.0))


class Driving:
    """Our workers, which hold the policy."""

    def __init__(self, workers: ConvoyVecEnv, model: Any):
        self.workers, self._model, self._rng = workers, model, np.random.default_rng(0)

    def take_turn(self, n_rows: int) -> None:
        """Lets every worker drive so many steps."""
        noise = self._rng.normal(0.0, 0.05, (n_rows, self.workers.num_envs, 1)).astype(np.float32)
        self.workers.drive(noise, read_actor(self._model))


def start_gymnasium(n_workers: int, model: Any) -> Stepped:
    """Starts Gymnasium's workers, with shared memory."""
    workers = AsyncVectorEnv([make_env] * n_workers, context="spawn", autoreset_mode=AutoresetMode.SAME_STEP)
    return Stepped(workers, model, lambda actions: workers.step(actions)[0], workers.reset(seed=0)[0])


def start_pufferlib(n_workers: int, model: Any) -> Stepped:
    """Starts PufferLib's workers, without copies."""
    vector = importlib.import_module("pufferlib.vector")
    wrapped = importlib.import_module("pufferlib.emulation").GymnasiumPufferEnv
    workers = vector.make(
        wrapped,
        env_kwargs={"env_creator": make_discrete_env},
        backend=vector.Multiprocessing,
        num_envs=n_workers,
        num_workers=n_workers,
        batch_size=n_workers,
        zero_copy=True,
    )
    kind = workers.driver_env.emulated["emulated_observation_dtype"]

    def _split(flat: np.ndarray) -> Arrays:
        rows = np.ascontiguousarray(flat).view(kind).reshape(n_workers)
        return {name: np.ascontiguousarray(rows[name]) for name in kind.names}

    return Stepped(
        workers,
        model,
        lambda a: _split(vector.step(workers, np.rint(100 * a[:, 0]).astype(int))[0]),
        _split(vector.reset(workers, 0)[0]),
    )


def start_stepping(n_workers: int, model: Any) -> Stepped:
    """Starts our workers, which step one by one."""
    workers = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
    return Stepped(workers, model, lambda actions: workers.step(actions)[0], workers.reset())


def start_driving(n_workers: int, model: Any) -> Driving:
    """Starts our workers, which hold the policy."""
    workers = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
    workers.reset()
    return Driving(workers, model)


KINDS: dict[str, Callable[[int, Any], Stepped | Driving]] = {
    "AsyncVectorEnv": start_gymnasium,
    "PufferLib": start_pufferlib,
    "ConvoyVecEnv.step": start_stepping,
    "ConvoyVecEnv.drive": start_driving,
}


def build_untrained(n_workers: int) -> Any:
    """Returns the model whose network acts."""
    workers = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
    try:
        return build_model(workers, TrainConfig(n_workers=n_workers))
    finally:
        workers.close()


def take_turn(kind: str, n_workers: int, model: Any, n_rows: int) -> float:
    """Starts the workers, steps them and ends them: some keep a core busy while they wait. Returns steps/s."""
    each = KINDS[kind](n_workers, model)
    each.take_turn(64)
    begin_s = time.perf_counter()
    each.take_turn(n_rows)
    speed = n_workers * n_rows / (time.perf_counter() - begin_s)
    each.workers.close()
    return speed


def measure(n_workers: int, config: VectorConfig) -> dict[str, list[float]]:
    """Returns the steps/s of each kind, one a round."""
    kinds = [kind for kind in KINDS if kind != "PufferLib" or importlib.util.find_spec("pufferlib")]
    model = build_untrained(n_workers)
    rounds = [[take_turn(kind, n_workers, model, config.n_rows) for kind in kinds] for _ in range(config.n_rounds)]
    return dict(zip(kinds, map(list, zip(*rounds, strict=True)), strict=True))


def main() -> None:
    """Measures, and prints a table and JSON."""
    config = tyro.cli(VectorConfig, description=__doc__)
    torch.set_num_threads(1)
    result: dict[str, Any] = {"compiled": is_compiled(), "n_cores": len(os.sched_getaffinity(0)), "steps_per_s": {}}
    for n_workers in config.n_workers:
        found = measure(n_workers, config)
        result["steps_per_s"][n_workers] = {name: [round(each) for each in speeds] for name, speeds in found.items()}
        for name, speeds in found.items():
            print(f"| {n_workers} | {name} | {round(statistics.median(speeds))} |", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
