"""How many environment steps a second PPO learns from, and where time goes: `python benchmarks/train.py`.

The PPO of `roadsense train` learns on one road, with workers that drive rollouts by themselves; on demand over several
numbers of workers (`--n_workers 1 2 4 8 16`) and, for comparison, with workers that wait for each other after every
step (`--compared_workers 8`). Before and after, bare SUMO runs on every core, and one environment alone. Time is
counted on the wall, and as CPU time per step of the workers and of each part of the learning process: that holds better
on a shared machine. From it a model (docs/throughput.md) is fitted that predicts other machines. The last line is JSON.
"""

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from limits import ENV_CONFIG, PATH, run_alone, run_bare, run_on_all_cores

N_VCPUS = 32
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DRIVEN, STEPPED = "driven", "stepped"


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_workers: numbers of workers to measure; by default the number that a training has by default.
        compared_workers: numbers of workers to measure stepwise, too.
        n_rollouts: rollouts, each with its update, that are measured; one more warms up.
        rollout_steps: steps of a rollout over all workers.
        predicted_workers: workers on the machine that is predicted.
    """

    n_workers: tuple[int, ...] = ()
    compared_workers: tuple[int, ...] = ()
    n_rollouts: int = 10
    rollout_steps: int = 4096
    predicted_workers: int = 64


@dataclass(frozen=True)
class Measurement:
    """Of one kind of training and number of workers; microseconds are CPU time per environment step.

    Attributes:
        kind: `driven` (workers drive rollouts) or `stepped` (they wait for each other after every step).
        n_workers: processes.
        start_s: until all workers have begun an episode.
        steps_per_s: on the wall, learning included.
        worker_us: of all workers together.
        drive_us: of the learning process for the workers: messages, copies.
        forward_us: in values and log-probabilities, or the policy while stepping.
        update_us: in PPO's gradient steps.
        other_us: the rest of it: buffers, callbacks, bookkeeping.
        driving_share: of the time on the wall, while the workers drive and the learner waits.
    """

    kind: str
    n_workers: int
    start_s: float
    steps_per_s: float
    worker_us: float
    drive_us: float
    forward_us: float
    update_us: float
    other_us: float
    driving_share: float

    @property
    def learner_us(self) -> float:
        """All of the learning process."""
        return self.drive_us + self.forward_us + self.update_us + self.other_us


class Stopwatch:
    """Adds up the CPU time, and the time on the wall, spent in methods."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.wall_s: dict[str, float] = {}

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Counts the time in a method of an object under a name."""
        function = getattr(owner, method)

        def watched(*arguments: Any, **keywords: Any) -> Any:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            result = function(*arguments, **keywords)
            self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - cpu_s
            self.wall_s[name] = self.wall_s.get(name, 0.0) + time.perf_counter() - wall_s
            return result

        setattr(owner, method, watched)

    def clear(self) -> None:
        """Starts again from nothing."""
        self.cpu_s.clear()
        self.wall_s.clear()


def start_training(kind: str, n_workers: int, config: BenchmarkConfig) -> tuple[Any, Any]:
    """Returns the workers and the model that `roadsense train` would have."""
    import torch
    from stable_baselines3 import PPO

    from roadsense.training.algorithms import build_model
    from roadsense.training.train_config import TrainConfig
    from roadsense.training.vec_env import ConvoyVecEnv

    torch.set_num_threads(1)
    env = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
    model = build_model(env, TrainConfig(n_workers=n_workers, rollout_steps=config.rollout_steps // n_workers))
    if kind == STEPPED:
        model.__class__ = PPO
    return env, model


def read_cpu_s(pid: int) -> float:
    """Returns the CPU time a process has had."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def measure(kind: str, n_workers: int, config: BenchmarkConfig) -> Measurement:
    """Measures one kind and number of workers."""
    begin_s, watch = time.perf_counter(), Stopwatch()
    env, model = start_training(kind, n_workers, config)
    env.reset()
    start_s, pids = time.perf_counter() - begin_s, env.pids
    for method in ("drive",) if kind == DRIVEN else ("step_async", "step_wait"):
        watch.watch(env, method, "drive")
    watch.watch(model.policy, "forward", "forward")
    watch.watch(model, "train", "update")
    if kind == DRIVEN:
        watch.watch(model, "_add", "forward")
    model.learn(config.rollout_steps)
    watch.clear()
    worker_s, cpu_s = sum(map(read_cpu_s, pids)), time.process_time()
    n_before, begin_s = model.num_timesteps, time.perf_counter()
    model.learn(config.n_rollouts * config.rollout_steps, reset_num_timesteps=False)
    elapsed_s, n_steps = time.perf_counter() - begin_s, model.num_timesteps - n_before
    worker_s, cpu_s = sum(map(read_cpu_s, pids)) - worker_s, time.process_time() - cpu_s
    env.close()
    parts = [worker_s, *(watch.cpu_s[name] for name in ("drive", "forward", "update"))]
    parts.append(cpu_s - sum(parts[1:]))
    return Measurement(
        kind,
        n_workers,
        round(start_s, 2),
        round(n_steps / elapsed_s),
        *(round(1e6 * part / n_steps, 1) for part in parts),
        round(watch.wall_s["drive"] / elapsed_s, 3),
    )


def fit(found: list[Measurement]) -> dict[str, float]:
    """Fits the model: what a step costs in a worker and in the learner, the medians over the numbers of workers."""
    worker_us = statistics.median(one.worker_us for one in found)
    return {"worker_us": worker_us, "learner_us": round(statistics.median(one.learner_us for one in found), 1)}


def predict(model: dict[str, float], n_workers: int, n_cores: int) -> float:
    """Returns the steps/s the model gives: workers and learner take turns, as PPO has it."""
    return 1e6 / (model["worker_us"] / min(n_workers, n_cores) + model["learner_us"])


def report(found: list[Measurement], model: dict[str, float]) -> None:
    """Prints the table."""
    n_cores = len(os.sched_getaffinity(0))
    names = [name for name in asdict(found[0]) if name != "kind"]
    print(f"| {'kind':7} |" + "".join(f" {name} |" for name in [*names, "model_steps_per_s"]))
    print("|---" * (len(names) + 2) + "|")
    for one in found:
        own = round(predict(model, one.n_workers, n_cores)) if one.kind == DRIVEN else ""
        print(f"| {one.kind:7} |" + "".join(f" {getattr(one, name)} |" for name in names) + f" {own} |")


def main() -> None:
    """Measures, and prints the table and the JSON."""
    from roadsense.training.train_config import TrainConfig, complete

    config = tyro.cli(BenchmarkConfig, description=__doc__)
    bare, (_, alone_us) = [run_on_all_cores(run_bare)[0]], run_on_all_cores(run_alone)
    found = []
    for n_workers in config.n_workers or (complete(TrainConfig()).n_workers,):
        for kind in (DRIVEN, STEPPED):
            if kind == DRIVEN or n_workers in config.compared_workers:
                found.append(measure(kind, n_workers, config))
                sys.stderr.write(f"{found[-1]}\n")
    bare.append(run_on_all_cores(run_bare)[0])
    ours = [one for one in found if one.kind == DRIVEN]
    model, best = fit(ours), max(ours, key=lambda one: one.steps_per_s)
    report(found, model)
    result = {
        "steps_per_s": best.steps_per_s,
        "n_workers": best.n_workers,
        "ratio_to_bare": round(best.steps_per_s / statistics.mean(bare), 3),
        "bare_steps_per_s": [round(speed) for speed in bare],
        "env_alone_us": round(alone_us, 1),
        "model": model,
        "predicted_32_vcpu_steps_per_s": round(predict(model, config.predicted_workers, N_VCPUS)),
        "measurements": [asdict(one) for one in found],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
