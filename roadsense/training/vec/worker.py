"""A worker process of `ConvoyVecEnv`: one environment, driven for one step or many; it reports the error that ends it.

It imports SUMO and no learning code. The data of every step is in shared memory; one byte in the pipe announces it.
"""

import os
import signal
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import split_observation
from roadsense.errors import RoadSenseError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.vec.shared import DrivenEpisode, SharedArrays
from roadsense.utils.reproducible import generator_from_words, generator_words
from roadsense.utils.worker_processes import end_with_program

STEP, CALL = b"s", b"c"
"""Bytes to a worker: drive one step, or do the call in the message that follows."""
DONE, ANSWER, FAILED, DIED = b"d", b"t", b"f", b"x"
"""Bytes from a worker: finished without an answer; an answer, the error of a call, or a traceback follows."""

_MISTAKES = (RoadSenseError, AttributeError, TypeError, ValueError)
"""Errors of a call after which the worker still works."""


@dataclass(frozen=True)
class WorkerTask:
    """The settings that a worker starts with.

    Attributes:
        index: index of the worker in the shared arrays.
        scenario_paths: `.sumocfg` files to draw from.
        config: settings of the environment.
        weights: probability of each scenario; None for uniform.
    """

    index: int
    scenario_paths: tuple[Path, ...]
    config: EnvConfig
    weights: NDArray[np.float64] | None = None


def serve(pipe: Connection, shared: SharedArrays, task: WorkerTask) -> None:
    """Runs a worker until its pipe is closed."""
    # Only the main process handles Ctrl-C and the end of a job; it needs its workers until it has stopped.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_program()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError), _SendTraceback(pipe):
        _Worker(pipe, shared, task).run()


class _SendTraceback:
    """Sends the traceback of an error that ends the worker."""

    def __init__(self, pipe: Connection):
        self._pipe = pipe

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is None or issubclass(kind, EOFError | BrokenPipeError | ConnectionResetError):
            return False
        os.write(self._pipe.fileno(), DIED)
        self._pipe.send("".join(traceback.format_exception(kind, error, trace)))
        return True


class StepReport(NamedTuple):
    """A worker's report on a step, beside the shared arrays.

    Attributes:
        row: row of the step in the shared arrays.
        info: info of the step.
        reset_info: info of the reset after it; None if the episode continues.
        failed: episode in which SUMO failed; None if it did not.
    """

    row: int
    info: dict[str, Any]
    reset_info: dict[str, Any] | None = None
    failed: DrivenEpisode | None = None


class _Worker:
    def __init__(self, pipe: Connection, shared: SharedArrays, task: WorkerTask):
        self._pipe, self._fd, self._shared, self._index = pipe, pipe.fileno(), shared, task.index
        self._weights = task.weights
        self._env = ConvoyEnv(task.scenario_paths, config=task.config)
        # Views of this worker's part. To make one takes a microsecond, so they are made once.
        self._actions, self._rewards, self._dones, self._episode_actions = (
            array[task.index]
            for array in (shared.actions[:, :, 0], shared.rewards, shared.dones, shared.episode_actions)
        )
        self._rows = list(shared.observations[task.index])
        self._observations = [split_observation(row) for row in self._rows]
        self._calls: dict[str, Callable[..., Any]] = {
            call.__name__: call
            for call in (self.reset, self.drive, self.set_weights, self.env_method, self.get_attr, self.set_attr)
        }

    def run(self) -> None:
        """Answers orders until the pipe is closed."""
        while order := os.read(self._fd, 1):
            if order == STEP:
                self._step(0)
                os.write(self._fd, DONE)
            else:
                self._answer(*self._pipe.recv())
        self._env.close()

    def drive(self, first: int, end: int, actor: Actor | None) -> None:
        """Drives rows by their actions; with an actor, these are noise that is added to its mean."""
        policy = ActorPolicy(actor) if actor else None
        for row in range(first, end):
            if policy:
                self._actions[row] = self._actions.item(row) + policy(self._observations[row])
            self._step(row)

    def _step(self, row: int) -> None:
        shared, index = self._shared, self._index
        n_steps = int(shared.n_steps[index])
        action = self._episode_actions[n_steps : n_steps + 1]
        action[0] = min(max(self._actions.item(row), 0.0), 1.0)
        shared.n_steps[index] = n_steps + 1
        next_row = self._rows[row + 1]
        reward, terminated, truncated, info = self._env.step_into(next_row, action)
        done = terminated or truncated
        self._rewards[row], self._dones[row] = reward, done
        if done:
            failed = shared.driven_episode(index) if "error" in info else None
            info |= {"TimeLimit.truncated": truncated and not terminated, **self._name_scenario()}
            info["terminal_observation"] = split_observation(next_row.copy())  # the reset writes into the same row
            self._send(StepReport(row, info, self.reset(None, {}, row + 1), failed))
        elif info:
            self._send(StepReport(row, info | {"TimeLimit.truncated": False}))
        # Last: a row that is counted is complete.
        shared.n_rows[index] = row + 1

    def reset(self, seed: int | None, options: dict[str, Any], row: int = 0) -> dict[str, Any]:
        """Starts an episode at a row and records what a replay of it needs; returns its info."""
        shared, env = self._shared, self._env
        if seed is not None:
            env.np_random = seeding.np_random(seed)[0]
        scenario = -1
        if "scenario" not in options:
            scenario = self._draw_scenario()
            if self._weights is not None:
                options = {**options, "scenario": env.scenario_paths[scenario]}
        shared.n_steps[self._index], shared.scenarios[self._index] = 0, scenario
        shared.states[self._index] = generator_words(env.np_random)
        return env.reset_into(self._rows[row], options=options)

    def set_weights(self, weights: NDArray[np.float64] | None) -> None:
        """Changes the probability of each scenario at later resets."""
        self._weights = weights

    def env_method(self, name: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> Any:
        """Calls a method of the environment."""
        return self._env.get_wrapper_attr(name)(*arguments, **keywords)

    def get_attr(self, name: str) -> Any:
        """Returns an attribute of the environment."""
        return self._env.get_wrapper_attr(name)

    def set_attr(self, name: str, value: Any) -> None:
        """Sets an attribute of the environment."""
        setattr(self._env, name, value)

    def _draw_scenario(self) -> int:
        env, n_scenarios = self._env, len(self._env.scenario_paths)
        if self._weights is not None:
            return int(env.np_random.choice(n_scenarios, p=self._weights))
        # The environment will draw the same from a generator in this state.
        return int(generator_from_words(generator_words(env.np_random)).integers(n_scenarios))

    def _name_scenario(self) -> dict[str, Any]:
        index = int(self._shared.scenarios[self._index])
        name = self._env.scenario_paths[index].parent.name if index >= 0 else None
        return {"scenario_index": index, "scenario": name}

    def _answer(self, name: str, arguments: Sequence[Any]) -> None:
        try:
            answer = self._calls[name](*arguments)
        except _MISTAKES as error:
            if name in ("reset", "drive"):  # without an episode the worker cannot continue
                raise
            os.write(self._fd, FAILED)
            self._pipe.send(error)
        else:
            if answer is None:
                os.write(self._fd, DONE)
            else:
                self._send(answer)

    def _send(self, answer: Any) -> None:
        os.write(self._fd, ANSWER)
        self._pipe.send(answer)
