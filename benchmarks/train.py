"""How many environment steps a second PPO learns from, and where time goes: `python benchmarks/train.py`.

The PPO of `roadsense train` learns on one road, with workers that drive rollouts by themselves; on demand with several
numbers of workers (`--n_workers 1 2 4 8 16`) and, for comparison, with workers that wait for each other after every
step (`--compared_workers 8`). They take turns with each other, with bare SUMO on every core, and with one environment
a core that nobody waits for: on a shared machine the ratios of a round hold, absolute figures do not. Figures are
medians over the rounds. Time is counted on the wall, and as CPU time per step in the workers and in each part of the
learning process; a model (docs/explanation/throughput.md) of it predicts other machines. The last line is JSON.
"""

import json
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import tyro
from limits import ENV_CONFIG, PATH, OnAllCores, step_bare, step_env

from roadsense.utils.compiled import is_compiled

N_VCPUS = 32
N_CORES = len(os.sched_getaffinity(0))
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
DRIVEN, STEPPED = "driven", "stepped"
PARTS = ("drive", "forward", "update")


@dataclass(frozen=True)
class BenchmarkConfig:
    """Settings.

    Attributes:
        n_workers: numbers of workers to measure; by default the number that a training has by default.
        compared_workers: numbers of workers to measure stepwise, too.
        n_rounds: in each, everything is measured once.
        n_rollouts: rollouts, each with its update, in a turn.
        rollout_steps: steps of a rollout over all workers.
        predicted_workers: workers on the machine that is predicted.
    """

    n_workers: tuple[int, ...] = ()
    compared_workers: tuple[int, ...] = ()
    n_rounds: int = 7
    n_rollouts: int = 2
    rollout_steps: int = 4096
    predicted_workers: int = 32


@dataclass(frozen=True)
class Measurement:
    """Of one training; microseconds are CPU time per environment step.

    Attributes:
        kind: `driven` (workers drive rollouts) or `stepped` (they wait for each other after every step).
        n_workers: processes.
        steps_per_s: on the wall, learning included.
        ratio_to_bare: that, to the steps/s of bare SUMO on all cores in the same round.
        cpu_ratio_to_bare: the same of the steps/s that the CPU times alone would allow on idle cores.
        worker_us: of all workers together.
        drive_us: of the learning process for the workers: messages, copies.
        forward_us: in values and log-probabilities; when stepping, in the policy.
        update_us: in PPO's gradient steps.
        other_us: the rest of it: buffers, callbacks, bookkeeping.
        driving_share: of the time on the wall, in which the workers drive and the learner waits.
        update_share: of the time on the wall, in PPO's gradient steps.
    """

    kind: str
    n_workers: int
    steps_per_s: float
    ratio_to_bare: float
    cpu_ratio_to_bare: float
    worker_us: float
    drive_us: float
    forward_us: float
    update_us: float
    other_us: float
    driving_share: float
    update_share: float

    @property
    def learner_us(self) -> float:
        """All of the learning process."""
        return self.drive_us + self.forward_us + self.update_us + self.other_us


class Stopwatch:
    """Adds up the CPU time, and the time on the wall, spent in methods."""

    def __init__(self) -> None:
        self.cpu_s = dict.fromkeys(PARTS, 0.0)
        self.wall_s = dict.fromkeys(PARTS, 0.0)

    def watch(self, owner: Any, method: str, name: str) -> None:
        """Counts the time in a method of an object under a name."""
        function = getattr(owner, method)

        def watched(*arguments: Any, **keywords: Any) -> Any:
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            result = function(*arguments, **keywords)
            self.cpu_s[name] += time.process_time() - cpu_s
            self.wall_s[name] += time.perf_counter() - wall_s
            return result

        setattr(owner, method, watched)


class Training:
    """The workers and the model that `roadsense train` would have.

    Args:
        kind: `driven` or `stepped`.
        n_workers: processes.
        config: settings.
    """

    def __init__(self, kind: str, n_workers: int, config: BenchmarkConfig):
        import torch
        from stable_baselines3 import PPO

        from roadsense.training.algorithms import build_model
        from roadsense.training.train_config import TrainConfig
        from roadsense.training.vec.env import ConvoyVecEnv

        torch.set_num_threads(1)
        self.kind, self.n_workers, self._n_steps = kind, n_workers, config.n_rollouts * config.rollout_steps
        self._env = ConvoyVecEnv([PATH], ENV_CONFIG, n_workers)
        settings = TrainConfig(n_workers=n_workers, rollout_steps=config.rollout_steps // n_workers)
        self._model = build_model(self._env, settings)
        if kind == STEPPED:
            self._model.__class__ = PPO
        self._model.learn(config.rollout_steps)

    def take_turn(self, bare: tuple[float, float]) -> Measurement:
        """Learns for a while; `bare` is what bare SUMO did just before, in steps/s and us of CPU time."""
        model, watch = self._model, Stopwatch()
        watched = {
            DRIVEN: ((self._env, "drive", "drive"), (model, "_fill", "forward")),
            STEPPED: ((self._env, "step", "drive"), (model.policy, "forward", "forward")),
        }[self.kind]
        for owner, method, name in (*watched, (model, "train", "update")):
            watch.watch(owner, method, name)
        worker_s, cpu_s = sum(map(read_cpu_s, self._env.pids)), time.process_time()
        n_before, begin_s = model.num_timesteps, time.perf_counter()
        model.learn(self._n_steps, reset_num_timesteps=False)
        elapsed_s, n_steps = time.perf_counter() - begin_s, model.num_timesteps - n_before
        worker_s, cpu_s = sum(map(read_cpu_s, self._env.pids)) - worker_s, time.process_time() - cpu_s
        for owner, method, _ in (*watched, (model, "train", "update")):
            delattr(owner, method)
        parts_s = [worker_s, *(watch.cpu_s[name] for name in PARTS)]
        parts_s.append(cpu_s - sum(parts_s[1:]))
        speed, us = n_steps / elapsed_s, [1e6 * part_s / n_steps for part_s in parts_s]
        shares = (watch.wall_s[name] / elapsed_s for name in ("drive", "update"))
        model = {"worker_us": us[0], "learner_us": sum(us[1:])}
        cpu_ratio = predict(model, self.n_workers, N_CORES) / (1e6 * N_CORES / bare[1])
        return Measurement(self.kind, self.n_workers, speed, speed / bare[0], cpu_ratio, *us, *shares)

    def close(self) -> None:
        """Ends the workers."""
        self._env.close()


def read_cpu_s(pid: int) -> float:
    """Returns the CPU time a process has had."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / TICKS_PER_S


def take_medians(found: list[Measurement]) -> Measurement:
    """Returns the median of each figure."""
    names = [field.name for field in fields(Measurement)][2:]
    return Measurement(
        found[0].kind,
        found[0].n_workers,
        *(round(statistics.median(getattr(one, name) for one in found), 3) for name in names),
    )


def fit(found: list[Measurement]) -> dict[str, float]:
    """Returns what a step costs in a worker and in the learner: the medians over the numbers of workers."""
    worker_us, learner_us = ([getattr(one, name) for one in found] for name in ("worker_us", "learner_us"))
    return {"worker_us": statistics.median(worker_us), "learner_us": statistics.median(learner_us)}


def predict(model: dict[str, float], n_workers: int, n_cores: int) -> float:
    """Returns the steps/s the model gives: workers and learner take turns, as PPO has it."""
    return 1e6 / (model["worker_us"] / min(n_workers, n_cores) + model["learner_us"])


def report(found: list[Measurement], model: dict[str, float]) -> None:
    """Prints the table."""
    names = [field.name for field in fields(Measurement)]
    print("|" + "".join(f" {name} |" for name in [*names, "model_steps_per_s"]))
    print("|---" * (len(names) + 1) + "|")
    for one in found:
        own = round(predict(model, one.n_workers, N_CORES)) if one.kind == DRIVEN else ""
        print("|" + "".join(f" {getattr(one, name)} |" for name in names) + f" {own} |")


def measure(config: BenchmarkConfig) -> tuple[list[Measurement], list[tuple[float, float]], list[float]]:
    """Lets everything take its turns.

    Returns:
        The trainings' medians; of bare SUMO and each round, steps/s and us of CPU time a step; an environment's us.
    """
    from roadsense.training.train_config import TrainConfig, complete

    chosen = config.n_workers or (complete(TrainConfig()).n_workers,)
    trainings = [Training(DRIVEN, n_workers, config) for n_workers in chosen]
    trainings += [Training(STEPPED, n_workers, config) for n_workers in config.compared_workers]
    bare, alone = OnAllCores(step_bare), OnAllCores(step_env)
    found: dict[Training, list[Measurement]] = {training: [] for training in trainings}
    bare_found, alone_us = [], []
    for place in range(config.n_rounds):
        bare_found.append(bare.take_turn())
        alone_us.append(alone.take_turn()[1])
        for training in trainings:
            found[training].append(training.take_turn(bare_found[-1]))
            sys.stderr.write(f"round {place + 1}, bare {bare_found[-1][0]:.0f}: {found[training][-1]}\n")
    for each in (*trainings, bare, alone):
        each.close()
    return [take_medians(measurements) for measurements in found.values()], bare_found, alone_us


def main() -> None:
    """Measures, and prints the table and the JSON."""
    config = tyro.cli(BenchmarkConfig, description=__doc__)
    found, bare, alone_us = measure(config)
    ours = [one for one in found if one.kind == DRIVEN]
    model, best = fit(ours), max(ours, key=lambda one: one.ratio_to_bare)
    report(found, model)
    result = {
        "compiled": is_compiled(),
        "steps_per_s": round(best.steps_per_s),
        "n_workers": best.n_workers,
        "ratio_to_bare": best.ratio_to_bare,
        "cpu_ratio_to_bare": best.cpu_ratio_to_bare,
        "bare_steps_per_s": [round(speed) for speed, _ in bare],
        "bare_us": round(statistics.median(us for _, us in bare), 1),
        "env_alone_us": round(statistics.median(alone_us), 1),
        "model": model,
        "steps_per_s_on_idle_cores": round(predict(model, best.n_workers, N_CORES)),
        "predicted_32_vcpu_steps_per_s": round(predict(model, config.predicted_workers, N_VCPUS)),
        "measurements": [asdict(one) for one in found],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
