"""Evaluation on held-out scenarios while a training runs, in separate processes.

Each evaluation drives the same episodes: the same scenarios, seeds, drivers, radios and planned hazards. Its result
depends on the policy alone, so the best policy is the same whenever a training is repeated.

The best policy is the one with the best score of `roadsense.episodes.score`, as in the evaluation.
"""

import os
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import POLICY, Plan, Row, is_calm
from roadsense.episodes.run import EPISODE_LIMIT_S, Worker
from roadsense.episodes.score import SCORED, score_episodes
from roadsense.runs.run import Run
from roadsense.runs.stopping import StopRequest
from roadsense.training.algorithms import save_policy
from roadsense.training.train_config import TrainConfig
from roadsense.utils.files import record_sum, write_atomically
from roadsense.utils.statistics import binomial_interval
from roadsense.utils.worker_processes import N_TRIES, close_pool, ignore_interrupts, kill_pool, start_pool

MAX_WAITING = 2
"""The training waits while this many evaluations are under way."""
NICENESS = 5
LOST = "its process died"
"""Error of an episode that ended one process after the other."""
SEED_DOMAIN = 0x48454C44
"""Makes these seeds differ from those of the final evaluation."""

Figures = dict[str, Any]


def plan_heldout(paths: Sequence[Path], config: TrainConfig) -> list[Plan]:
    """Returns the fixed list of episodes, the scenarios one after the other until there are enough."""
    seeds = np.random.SeedSequence(SEED_DOMAIN).generate_state(config.eval_episodes).tolist()
    return [Plan(POLICY, paths[place % len(paths)], seed, not is_calm(place)) for place, seed in enumerate(seeds)]


def judge(rows: Sequence[Row]) -> Figures:
    """Returns the figures of an evaluation, by their names in `metrics.jsonl`."""
    good = [row for row in rows if not row["error"]]
    score = score_episodes({name: [row[name] for row in good] for name in SCORED})
    rate = binomial_interval(sum(bool(row["collision"]) for row in good), len(good))
    calm_s = sum(row["calm_s"] for row in good)
    return {
        "eval_episodes": len(good),
        "eval_failed": len(rows) - len(good),
        "eval_collisions": sum(bool(row["collision"]) for row in good),
        "eval_collision_rate": rate.value if good else 0.0,
        "eval_collision_rate_low": rate.low,
        "eval_collision_rate_high": rate.high,
        "eval_false_braking_share": float(sum(row["false_braking_s"] for row in good) / calm_s) if calm_s else 0.0,
        "eval_needless_mps2": score.needless_mps2,
        "eval_min_ttc_median_s": float(np.median([row["min_ttc_s"] for row in good])) if good else 0.0,
        "eval_score": score.value,
    }


class HeldOut(BaseCallback):
    """Starts evaluations at their interval, collects their results and saves the best policy.

    Args:
        run: run folder that policies are written to.
        config: settings of the training.
        eval_paths: paths of the held-out scenarios; without any, nothing is evaluated.
        stop: request to stop the training, which also ends waiting.
    """

    def __init__(self, run: Run, config: TrainConfig, eval_paths: Sequence[Path], stop: StopRequest):
        super().__init__()
        self._run, self._config, self._stop = run, config, stop
        is_wanted = bool(eval_paths) and 0 < config.eval_interval <= config.total_timesteps
        self._plans = plan_heldout(eval_paths, config) if is_wanted else []
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[tuple[int, list[Future[Row]]]] = deque()
        self._history: list[Figures] = []
        self._n_logged, self._next = 0, config.eval_interval
        self._n_lost = 0

    @property
    def is_waiting(self) -> bool:
        """Whether an evaluation is under way."""
        return bool(self._waiting)

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint: results, and the policies whose evaluation is under way."""
        waiting = [timesteps for timesteps, _ in self._waiting]
        return {"history": list(self._history), "waiting": waiting, "n_logged": self._n_logged, "next": self._next}

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the state that `state` returned and starts the unfinished evaluations again."""
        self._history, self._n_logged, self._next = list(state["history"]), state["n_logged"], state["next"]
        for timesteps in state["waiting"]:
            self._submit(timesteps)

    def take_finished(self) -> Figures | None:
        """Returns the oldest result that was not returned before, or None."""
        self._collect()
        if self._n_logged == len(self._history):
            return None
        self._n_logged += 1
        return self._history[self._n_logged - 1]

    def finish(self) -> None:
        """Evaluates the last policy and waits until all evaluations have ended, or until a stop is requested."""
        known = [timesteps for timesteps, _ in self._waiting] + [old["eval_timesteps"] for old in self._history]
        if self._plans and self.model.num_timesteps not in known:
            self._start()
        self._wait_for(0)

    def close(self) -> None:
        """Ends the processes; episodes under way are lost and driven again after a resume."""
        if self._pool is not None:
            close_pool(self._pool)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._plans and self.model.num_timesteps >= self._next:
            self._next = (self.model.num_timesteps // self._config.eval_interval + 1) * self._config.eval_interval
            self._wait_for(MAX_WAITING - 1)
            self._start()

    def _start(self) -> None:
        self._run.heldout_dir.mkdir(exist_ok=True)
        save_policy(self.model, self._policy_path(self.model.num_timesteps))
        self._submit(self.model.num_timesteps)

    def _submit(self, timesteps: int) -> None:
        self._waiting.append((timesteps, [self._begin(timesteps, plan) for plan in self._plans]))

    def _begin(self, timesteps: int, plan: Plan) -> Future[Row]:
        if self._pool is None:
            self._pool = start_pool(self._config.eval_workers, [__name__], _settle)
        try:
            return self._pool.submit(_drive, self._policy_path(timesteps), self._config.env_config(), plan)
        except BrokenProcessPool as error:  # it is replaced when the results are collected
            lost: Future[Row] = Future()
            lost.set_exception(error)
            return lost

    def _wait_for(self, n_left: int) -> None:
        self._collect()
        n_done, since_s = 0, time.monotonic()
        while len(self._waiting) > n_left and not self._stop.is_made():
            done, _ = wait(self._waiting[0][1], timeout=1.0)
            if len(done) != n_done:
                n_done, since_s = len(done), time.monotonic()
            elif self._pool is not None and time.monotonic() - since_s > EPISODE_LIMIT_S:
                kill_pool(self._pool)  # a process stands still
                since_s = time.monotonic()
            self._collect()

    def _collect(self) -> None:
        while self._waiting and all(future.done() for future in self._waiting[0][1]):
            timesteps, futures = self._waiting[0]
            if any(map(_is_lost, futures)) and self._n_lost < N_TRIES:
                self._renew()
                return
            self._waiting.popleft()
            self._n_lost = 0
            self._take_in(timesteps, [{"error": LOST} if _is_lost(future) else future.result() for future in futures])

    def _renew(self) -> None:
        """Starts new processes after one has died or stood still, and drives again what it took along."""
        self.close()
        self._pool, self._n_lost = None, self._n_lost + 1
        for timesteps, futures in self._waiting:
            for place, (future, plan) in enumerate(zip(futures, self._plans, strict=True)):
                if future.cancelled() or not future.done() or _is_lost(future):
                    futures[place] = self._begin(timesteps, plan)

    def _take_in(self, timesteps: int, rows: Sequence[Row]) -> None:
        result = {"eval_timesteps": timesteps, **judge(rows)}
        if result["eval_score"] > max((old["eval_score"] for old in self._history), default=-np.inf):
            write_atomically(self._run.best_model_path, self._policy_path(timesteps).read_bytes())
            record_sum(self._run.best_model_path)
        self._history.append(result)

    def _policy_path(self, timesteps: int) -> Path:
        return self._run.heldout_dir / f"policy_{timesteps:012d}.zip"


def _is_lost(future: Future[Row]) -> bool:
    """Returns whether the process of an episode that has ended died."""
    return future.cancelled() or isinstance(future.exception(), BrokenProcessPool)


def _settle() -> None:
    """Gives the training priority, and lets only the training handle Ctrl-C."""
    os.nice(NICENESS)
    ignore_interrupts()


_current: tuple[Path, Worker] | None = None


def _drive(policy_path: Path, env_config: EnvConfig, plan: Plan) -> Row:
    global _current
    if _current is None or _current[0] != policy_path:
        if _current is not None:
            _current[1].close()
        _current = policy_path, Worker(env_config, policy_path)
    return _current[1].run(plan)
