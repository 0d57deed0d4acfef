"""One training in its run folder: workers, model and everything that watches it, put together."""

import os
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from roadsense.errors import SimulationError
from roadsense.policies.cautious_rule import CautiousRule
from roadsense.runs.experiment import score_seeds
from roadsense.runs.run import CHECKPOINTS, Run
from roadsense.runs.state import RunningMark
from roadsense.runs.stopping import StoppedError, StopRequest
from roadsense.training.algorithms import build_model
from roadsense.training.checkpoint_callback import Keeper
from roadsense.training.checkpoints import read_newest_checkpoint
from roadsense.training.heldout import Figures, HeldOut
from roadsense.training.imitation import demonstrate, imitate
from roadsense.training.log import TrainingLog, cut_metrics
from roadsense.training.samplers import PlrSampler, UniformSampler
from roadsense.training.splits import Splits
from roadsense.training.train_config import TrainConfig
from roadsense.training.vec.env import ConvoyVecEnv
from roadsense.training.workers import start_workers


def run_training(run: Run, config: TrainConfig, splits: Splits, earlier_scores: Sequence[float] | None = None) -> None:
    """Trains to the end, from the newest checkpoint in the run folder if there is one.

    Args:
        run: where everything is written.
        config: settings, with the number of workers filled in.
        splits: the scenarios.
        earlier_scores: of an experiment's seeds that were trained before; None if this is no experiment.

    Raises:
        StoppedError: if it was asked to stop.
        RunError: if another process trains this run, or every checkpoint is damaged.
    """
    torch.set_num_threads(1)
    with RunningMark(run.folder):
        stop = StopRequest(run.folder)
        with (
            stop.listening(),
            closing(start_workers(splits.train_paths, config, run.deaths_path)) as env,
            closing(HeldOut(run, config, splits.eval_paths, stop)) as heldout,
        ):
            env.hurry_when(stop.is_pressing)
            log = TrainingLog(
                run.metrics_path,
                config.total_timesteps,
                config.log_interval,
                lambda: _score_experiment(heldout.take_finished(), earlier_scores),
            )
            keeper = Keeper(run, config, stop, _build_sampler(config, splits), {"log": log, "heldout": heldout})
            model = build_model(env, config)
            if any(run.checkpoint_dir.glob(CHECKPOINTS)):
                _restore(run, model, keeper)
            elif config.imitation_timesteps and config.algorithm == "ppo":
                _imitate_rule(model, env, config, stop)
            _learn(model, config.total_timesteps, [heldout, log, keeper], stop)
            if model.num_timesteps < config.total_timesteps or keeper.is_stopped:
                keeper.write()
                raise _stopped(run, stop)
            keeper.finish()
            _save(model, run)
            heldout.finish()
            if heldout.is_waiting:
                raise _stopped(run, stop)
            log.finish()


def _score_experiment(evaluation: Figures | None, earlier_scores: Sequence[float] | None) -> Figures | None:
    """Returns the figures of an evaluation; those of an experiment with its score so far."""
    if evaluation is None or earlier_scores is None:
        return evaluation
    return {**evaluation, **score_seeds([*earlier_scores, evaluation["eval_score"]])}


def _build_sampler(config: TrainConfig, splits: Splits) -> UniformSampler:
    if config.sampler == "uniform":
        return UniformSampler()
    return PlrSampler([path.parent.name for path in splits.train_paths], config.n_workers)


def _restore(run: Run, model: Any, keeper: Keeper) -> None:
    state = read_newest_checkpoint(run.checkpoint_dir)
    cut_metrics(run.metrics_path, state["timesteps"])
    keeper.restore(model, state)


def _imitate_rule(model: Any, env: ConvoyVecEnv, config: TrainConfig, stop: StopRequest) -> None:
    with stop.at_once():
        shown = demonstrate(env, CautiousRule(), config.imitation_timesteps, config.gamma)
        imitate(model, shown, np.random.default_rng(config.seed))


def _learn(model: Any, total_timesteps: int, watchers: list[BaseCallback], stop: StopRequest) -> None:
    left = max(total_timesteps - model.num_timesteps, 0)
    try:
        model.learn(left, CallbackList(watchers), log_interval=None, reset_num_timesteps=False)
    except (EOFError, ConnectionError, SimulationError):
        # A signal to a whole group of processes ends the workers too; the checkpoint needs none of them.
        if not stop.is_made():
            raise


def _stopped(run: Run, stop: StopRequest) -> StoppedError:
    return StoppedError(f"Stopped by {stop.reason}. Go on with `roadsense train --resume {run.folder}`.")


def _save(model: Any, run: Run) -> None:
    waiting = run.model_path.with_suffix(".part.zip")
    model.save(waiting)
    os.replace(waiting, run.model_path)
