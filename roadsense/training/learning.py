"""One training in its run folder: sets up and runs worker processes, model and callbacks.

The number of the learner's threads is measured at the start and recorded in the run: sums over a batch may differ in
the last bit with another number, so a resumed run keeps its own.
"""

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.callbacks import BaseCallback, CallbackList
from stable_baselines3.common.policies import MultiInputActorCriticPolicy

from roadsense.envs.observation import MAX_PEERS, observation_space
from roadsense.errors import RunError, SimulationError
from roadsense.policies.actor import read_actor
from roadsense.policies.actor_policy import NumpyActor
from roadsense.policies.rules import ConfirmedPredictionRule, Policy, WithFloor
from roadsense.runs.experiment import score_seeds
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.runs.progress import PhaseWriter
from roadsense.runs.run import CHECKPOINTS, Run
from roadsense.runs.state import RunningMark
from roadsense.runs.stopping import StoppedError, StopRequest
from roadsense.training.algorithms import build_model, network_settings, save_policy
from roadsense.training.checkpoints import CheckpointCallback, read_newest_checkpoint
from roadsense.training.heldout import Figures, HeldOut
from roadsense.training.imitation import demonstrate, imitate
from roadsense.training.log import TrainingLog, cut_metrics
from roadsense.training.samplers import PlrSampler, UniformSampler
from roadsense.training.splits import Splits
from roadsense.training.targets import TargetLogger
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.deaths import WorkerDeath
from roadsense.training.vec.env import ConvoyVecEnv
from roadsense.utils.files import reading
from roadsense.utils.progress import working
from roadsense.utils.worker_processes import own_sockets


def run_training(run: Run, config: TrainConfig, splits: Splits, earlier_scores: Sequence[float] | None = None) -> None:
    """Trains to the end; resumes from the newest checkpoint in the run folder if there is one.

    Args:
        run: run folder that everything is written to.
        config: settings, with the number of workers filled in.
        splits: scenarios to train on and held-out ones.
        earlier_scores: scores of the experiment's seeds that are trained already; None without an experiment.

    Raises:
        StoppedError: if a stop was requested.
        RunError: if another process trains this run, or every checkpoint is damaged.
    """
    with reading(run.manifest_path, "the manifest of a run", RunError):
        # A run of an earlier version has no number in its manifest: it learned on one thread.
        torch.set_num_threads(int(run.read_manifest().get(LEARNER_THREADS, 1)))
    own_sockets()
    with RunningMark(run.folder):
        stop, phases = StopRequest(run.folder), PhaseWriter(run.folder)
        phases.enter(f"starting {config.n_workers} workers")
        with (
            ExitStack() as stack,
            stop.listening(),
            closing(_start_workers(splits.train_paths, config, run.deaths_path)) as env,
            closing(HeldOut(run, config, splits.eval_paths, stop)) as heldout,
        ):
            env.hurry_when(stop.is_pressing)
            targets = TargetLogger(run, config.log)
            stack.callback(targets.close)
            log = TrainingLog(
                run.metrics_path,
                run.read_total_timesteps(),
                config.log_interval,
                lambda: _score_experiment(heldout.take_finished(), earlier_scores),
                targets.write,
            )
            stack.enter_context(closing(log))
            checkpoints = CheckpointCallback(
                run, config, stop, _build_sampler(config, splits), {"log": log, "heldout": heldout}
            )
            model = build_model(env, config)
            if any(run.checkpoint_dir.glob(CHECKPOINTS)):
                _restore(run, model, checkpoints)
            elif read_metric_lines(run.metrics_path):
                raise RunError(
                    f"Expected a checkpoint of the training in {run.checkpoint_dir}, all are gone. Restore one."
                )
            elif config.imitation_timesteps and config.algorithm == "ppo":
                _imitate(model, env, config, ConfirmedPredictionRule(), phases, stop)
            phases.enter("training")
            _learn(model, config.total_timesteps, [heldout, log, checkpoints], stop)
            if model.num_timesteps < config.total_timesteps or checkpoints.is_stopped:
                checkpoints.write()
                raise _stopped(run, stop)
            checkpoints.finish()
            if config.imitation_timesteps and config.algorithm == "ppo":
                _imitate(model, env, config, WithFloor(NumpyActor(read_actor(model))), phases, stop)
            save_policy(model, run.model_path)
            phases.enter("last evaluation on held-out scenarios")
            with working("last evaluation on held-out scenarios"):
                heldout.finish()
            if heldout.is_waiting:
                raise _stopped(run, stop)
            log.finish()
            targets.finish()


def _start_workers(scenario_paths: Sequence[Path], config: TrainConfig, deaths_path: Path) -> ConvoyVecEnv:
    """Starts the worker processes, one SUMO each; appends a line of JSON to a file for each that dies."""

    def _note(death: WorkerDeath) -> None:
        with deaths_path.open("a") as file:
            file.write(json.dumps(asdict(death), default=str) + "\n")

    settings = scenario_paths, config.env_config(), config.n_workers, config.seed
    with working(f"starting {config.n_workers} workers"):
        return ConvoyVecEnv(*settings, on_death=_note, max_deaths=config.max_deaths)


def _score_experiment(evaluation: Figures | None, earlier_scores: Sequence[float] | None) -> Figures | None:
    """Returns the figures of an evaluation; in an experiment, with the experiment's score so far."""
    if evaluation is None or earlier_scores is None:
        return evaluation
    return {**evaluation, **score_seeds([*earlier_scores, evaluation["eval_score"]])}


def _build_sampler(config: TrainConfig, splits: Splits) -> UniformSampler:
    if config.sampler == "uniform":
        return UniformSampler()
    return PlrSampler([path.parent.name for path in splits.train_paths], config.n_workers)


def _restore(run: Run, model: Any, checkpoints: CheckpointCallback) -> None:
    state = read_newest_checkpoint(run.checkpoint_dir)
    cut_metrics(run.metrics_path, state["timesteps"])
    checkpoints.restore(model, state)


def _imitate(
    model: Any, env: ConvoyVecEnv, config: TrainConfig, driver: Policy, phases: PhaseWriter, stop: StopRequest
) -> None:
    """Records a policy while it drives, and fits the model to its actions."""
    who = "the rule" if isinstance(driver, ConfirmedPredictionRule) else "the policy with a rule as its least"

    def advance(n_steps: int) -> None:
        phases.advance(n_steps)
        stop.check()

    with stop.at_once():
        phases.enter(f"imitation: {who} drives", config.imitation_timesteps)
        shown = demonstrate(env, driver, config.imitation_timesteps, config.gamma, advance)
        phases.enter("imitation: the policy learns from it")
        with working(f"learning from {who}"):
            imitate(model, shown, np.random.default_rng(config.seed))


def _learn(model: Any, total_timesteps: int, callbacks: list[BaseCallback], stop: StopRequest) -> None:
    left = max(total_timesteps - model.num_timesteps, 0)
    try:
        model.learn(left, CallbackList(callbacks), log_interval=None, reset_num_timesteps=False)
    except (EOFError, ConnectionError, SimulationError):
        # A signal to a whole group of processes ends the workers too; the checkpoint needs none of them.
        if not stop.is_made():
            raise


def _stopped(run: Run, stop: StopRequest) -> StoppedError:
    return StoppedError(
        f"Stopped by {stop.reason}. Resume it with `roadsense train --resume {run.folder}`, or in notebook 01 with the "
        f"parameter resume = {str(run.folder)!r}."
    )


LEARNER_THREADS = "learner_threads"
"""Name of the number in a run's manifest."""

MIN_GAIN = 0.15
"""More threads are chosen only if a gradient step is faster by this share: they take cores from other work."""
MIN_BATCH, MIN_TIMESTEPS = 1024, 200_000
"""Smaller batches gain nothing from a second thread, and shorter trainings not enough to measure it."""
N_STEPS = 9


def choose_learner_threads(config: TrainConfig) -> int:
    """Returns the number of threads with which a gradient step of PPO is fastest now; 1 where it does not matter."""
    if config.algorithm != "ppo" or config.batch_size < MIN_BATCH or config.total_timesteps < MIN_TIMESTEPS:
        return 1
    step = make_gradient_step(config)
    best, best_s = 1, measure_steps(step, 1)
    n_threads = 2
    while n_threads <= len(os.sched_getaffinity(0)):
        seconds = measure_steps(step, n_threads, limit_s=best_s * (1 - MIN_GAIN))
        if seconds == math.inf:
            break
        best, best_s = n_threads, seconds
        n_threads *= 2
    torch.set_num_threads(1)
    return best


def measure_steps(step: Callable[[], None], n_threads: int, limit_s: float = math.inf) -> float:
    """Returns the time of `N_STEPS` gradient steps in s, without a first one; infinity if it reaches `limit_s`.

    With other work on the cores a second thread can make a step 50 times slower, so a slow measurement stops early.

    Args:
        step: function that does one gradient step.
        n_threads: number of threads of torch, from 1.
        limit_s: time in s at which the measurement stops.
    """
    torch.set_num_threads(n_threads)
    step()
    begin_s = time.perf_counter()
    for _ in range(N_STEPS):
        step()
        if time.perf_counter() - begin_s >= limit_s:
            return math.inf
    return time.perf_counter() - begin_s


def make_gradient_step(config: TrainConfig) -> Callable[[], None]:
    """Returns a function that does one gradient step with a batch of the training's size."""
    with torch.random.fork_rng(devices=[]):  # the measurement does not change the training's draws
        policy = MultiInputActorCriticPolicy(
            observation_space(), spaces.Box(0.0, 1.0, (1,), np.float32), lambda _: 0.0, **network_settings(config)
        )
        batch: dict[str, torch.Tensor] = {
            name: torch.rand(config.batch_size, *(space.shape or ())) for name, space in observation_space().items()
        }
        actions = torch.rand(config.batch_size, 1)
    batch["peer_mask"] = (torch.arange(MAX_PEERS) < MAX_PEERS // 2).float().expand(config.batch_size, -1)

    def _step() -> None:
        values, log_probs, entropy = policy.evaluate_actions(batch, actions)
        policy.optimizer.zero_grad()
        (values.mean() + log_probs.mean() + entropy.mean()).backward()
        policy.optimizer.step()

    return _step
