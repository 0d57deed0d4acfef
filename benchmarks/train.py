"""How many environment steps a second PPO learns from, and where time goes: `python benchmarks/train.py`.

PPO learns with `ConvoyVecEnv` and with SB3's `SubprocVecEnv` on one road, over several numbers of workers. Before and
after, bare SUMO runs on every core, and one environment alone. Time is counted as CPU time per step, of the workers and
of each part of the learning process: that holds on a shared machine, where time on the wall does not. From it a model
(docs/throughput.md) is fitted that predicts other machines. The last line is JSON.
"""

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from limits import ENV_CONFIG, PATH, run_alone, run_bare, run_on_all_cores

from roadsense.envs.convoy_env import ConvoyEnv

N_VCPUS = 32
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_workers: numbers of workers to measure.
        compared_workers: numbers of workers to measure SB3's `SubprocVecEnv` with, too.
        n_rollouts: rollouts, each with its update, that are measured; one more warms up.
        rollout_steps: steps of a rollout over all workers.
        batch_size: samples in a gradient step.
        n_epochs: passes over each rollout.
        predicted_workers: workers on the machine that is predicted.
    """

    n_workers: tuple[int, ...] = (1, 2, 4, 8, 16)
    compared_workers: tuple[int, ...] = (8, 16)
    n_rollouts: int = 3
    rollout_steps: int = 8192
    batch_size: int = 1024
    n_epochs: int = 5
    predicted_workers: int = 64


@dataclass(frozen=True)
class Measurement:
    """Of one kind of environment and number of workers; microseconds are CPU time per environment step.

    Attributes:
        kind: `ConvoyVecEnv` or `SubprocVecEnv`.
        n_workers: processes.
        start_s: until all workers have begun an episode.
        steps_per_s: on the wall, learning included.
        worker_us: of all workers together.
        transfer_us: of the learning process in the vectorised environment.
        forward_us: in the policy, while collecting.
        update_us: in PPO's gradient steps.
        other_us: the rest of collecting: buffers, tensors, bookkeeping.
    """

    kind: str
    n_workers: int
    start_s: float
    steps_per_s: float
    worker_us: float
    transfer_us: float
    forward_us: float
    update_us: float
    other_us: float

    @property
    def learner_us(self) -> float:
        """All of the learning process."""
        return self.transfer_us + self.forward_us + self.update_us + self.other_us


class Stopwatch:
    """Adds up the CPU time spent in functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Counts the time in a method of an object under a name."""
        function = getattr(owner, method)

        def watched(*arguments: Any, **keywords: Any) -> Any:
            begin_s = time.process_time()
            result = function(*arguments, **keywords)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - begin_s
            return result

        setattr(owner, method, watched)


def make_env() -> ConvoyEnv:
    return ConvoyEnv([PATH], config=ENV_CONFIG)


def start_env(kind: str, n_workers: int) -> tuple[Any, list[int]]:
    """Returns a vectorised environment and the process ids of its workers."""
    from stable_baselines3.common.vec_env import SubprocVecEnv

    from roadsense.training.vec_env import ConvoyVecEnv

    if kind == "ConvoyVecEnv":
        env: Any = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
        return env, [link.pid for link in env._links]
    env = SubprocVecEnv([make_env] * n_workers, start_method="forkserver")
    env.seed(0)
    return env, [process.pid for process in env.processes]


def build_model(env: Any, config: BenchmarkConfig) -> Any:
    """Returns PPO with the network and settings that `roadsense.train_convoy` has."""
    import torch
    from stable_baselines3 import PPO

    from roadsense.policies.deep_sets import DeepSetsExtractor

    torch.set_num_threads(1)
    policy = {"features_extractor_class": DeepSetsExtractor, "net_arch": [64, 64], "log_std_init": -1.5}
    sizes = {"n_steps": config.rollout_steps // env.num_envs, "batch_size": config.batch_size}
    return PPO("MultiInputPolicy", env, **sizes, n_epochs=config.n_epochs, device="cpu", policy_kwargs=policy, seed=0)


def read_cpu_s(pid: int) -> float:
    """Returns the CPU time a process has had."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def measure(kind: str, n_workers: int, config: BenchmarkConfig) -> Measurement:
    """Measures one kind and number of workers."""
    begin_s = time.perf_counter()
    env, pids = start_env(kind, n_workers)
    env.reset()
    start_s = time.perf_counter() - begin_s
    model, watch = build_model(env, config), Stopwatch()
    watch.watch(env, "step_async", "transfer")
    watch.watch(env, "step_wait", "transfer")
    watch.watch(model.policy, "forward", "forward")
    watch.watch(model, "train", "update")
    model.learn(config.rollout_steps)
    watch.seconds.clear()
    worker_s, cpu_s = sum(map(read_cpu_s, pids)), time.process_time()
    n_before, begin_s = model.num_timesteps, time.perf_counter()
    model.learn(config.n_rollouts * config.rollout_steps, reset_num_timesteps=False)
    elapsed_s, n_steps = time.perf_counter() - begin_s, model.num_timesteps - n_before
    worker_s, cpu_s = sum(map(read_cpu_s, pids)) - worker_s, time.process_time() - cpu_s
    env.close()
    parts = [worker_s, *(watch.seconds[name] for name in ("transfer", "forward", "update"))]
    parts.append(cpu_s - sum(parts[1:]))
    return Measurement(
        kind,
        n_workers,
        round(start_s, 2),
        round(n_steps / elapsed_s),
        *(round(1e6 * part / n_steps, 1) for part in parts),
    )


def fit(found: list[Measurement]) -> dict[str, float]:
    """Fits the model: a step costs `worker_us` in a worker, and `step_us + call_us / n_workers` in the learner."""
    inverse = [1 / one.n_workers for one in found]
    call_us, step_us = np.polyfit(inverse, [one.learner_us for one in found], 1)
    worker_us = statistics.median(one.worker_us for one in found if one.n_workers >= len(os.sched_getaffinity(0)))
    return {"worker_us": worker_us, "step_us": round(float(step_us), 1), "call_us": round(float(call_us), 1)}


def predict(model: dict[str, float], n_workers: int, n_cores: int) -> float:
    """Returns the steps/s the model gives: workers and learner take turns, as PPO has it."""
    parallel = min(n_workers, n_cores)
    return 1e6 / (model["worker_us"] / parallel + model["step_us"] + model["call_us"] / n_workers)


def report(found: list[Measurement], model: dict[str, float]) -> None:
    """Prints the table."""
    n_cores = len(os.sched_getaffinity(0))
    names = [name for name in asdict(found[0]) if name != "kind"]
    print(f"| {'kind':14} |" + "".join(f" {name} |" for name in [*names, "model_steps_per_s"]))
    print("|---" * (len(names) + 2) + "|")
    for one in found:
        own = round(predict(model, one.n_workers, n_cores)) if one.kind == "ConvoyVecEnv" else ""
        print(f"| {one.kind:14} |" + "".join(f" {getattr(one, name)} |" for name in names) + f" {own} |")


def share_out(best: Measurement, alone_us: float) -> dict[str, float]:
    """Returns the shares of CPU time; what a worker takes beyond an environment left alone is transfer."""
    total_us = best.worker_us + best.learner_us
    simulation_us = min(alone_us, best.worker_us)
    shares = {
        "simulation": simulation_us,
        "transfer": best.worker_us - simulation_us + best.transfer_us,
        "forward": best.forward_us,
        "update": best.update_us,
        "other": best.other_us,
    }
    return {name: value_us / total_us for name, value_us in shares.items()}


def main() -> None:
    """Measures, and prints the table and the JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    bare, (_, alone_us) = [run_on_all_cores(run_bare)[0]], run_on_all_cores(run_alone)
    found = []
    for n_workers in config.n_workers:
        for kind in ("ConvoyVecEnv", "SubprocVecEnv"):
            if kind == "ConvoyVecEnv" or n_workers in config.compared_workers:
                found.append(measure(kind, n_workers, config))
                sys.stderr.write(f"{found[-1]}\n")
    bare.append(run_on_all_cores(run_bare)[0])
    ours = [one for one in found if one.kind == "ConvoyVecEnv"]
    model, best = fit(ours), max(ours, key=lambda one: one.steps_per_s)
    report(found, model)
    shares = share_out(best, alone_us)
    result = {
        "steps_per_s": best.steps_per_s,
        "n_workers": best.n_workers,
        "ratio_to_bare": round(best.steps_per_s / statistics.mean(bare), 3),
        "bare_steps_per_s": [round(speed) for speed in bare],
        "env_alone_us": round(alone_us, 1),
        **{f"share_{name}": round(share, 3) for name, share in shares.items()},
        "model": model,
        "predicted_32_vcpu_steps_per_s": round(predict(model, config.predicted_workers, N_VCPUS)),
        "measurements": [asdict(one) for one in found],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
