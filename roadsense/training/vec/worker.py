"""A worker process of `ConvoyVecEnv`: one environment, driven for a step or many, that says why when it dies.

It imports SUMO and nothing that learns. What passes in every step lies in shared memory; a byte says that it is there.
"""

import os
import signal
import traceback
from collections.abc import Sequence
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
from roadsense.envs.observation import Observation
from roadsense.errors import RoadSenseError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.vec.shared import DrivenEpisode, SharedArrays
from roadsense.utils.generator_state import generator_from_words, generator_words
from roadsense.utils.worker_processes import end_with_program

STEP, CALL = b"s", b"c"
"""To a worker: step, or do what the message that follows says."""
DONE, TOLD, FAILED, DIED = b"d", b"t", b"f", b"x"
"""From a worker: done, with nothing to answer; a message follows; a call failed, with its error; last words follow."""

_MISTAKES = (RoadSenseError, AttributeError, TypeError, ValueError)
"""What a call may raise without the worker being broken."""


@dataclass(frozen=True)
class WorkerTask:
    """What a worker is started with.

    Attributes:
        index: its row of the shared arrays.
        scenario_paths: of the scenarios to draw from.
        config: settings of the environment.
        weights: probability of each scenario; None for uniform.
    """

    index: int
    scenario_paths: tuple[Path, ...]
    config: EnvConfig
    weights: NDArray[np.float64] | None = None


def serve(link: Connection, shared: SharedArrays, task: WorkerTask) -> None:
    """Runs a worker until its link ends."""
    # Ctrl-C and the end of a job are for the process that trains: it still needs its workers to end in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_program()
    with suppress(EOFError, BrokenPipeError, ConnectionResetError), _LastWords(link):
        _Worker(link, shared, task).run()


class _LastWords:
    """Sends the traceback of whatever ends the worker."""

    def __init__(self, link: Connection):
        self._link = link

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is None or issubclass(kind, EOFError | BrokenPipeError | ConnectionResetError):
            return False
        os.write(self._link.fileno(), DIED)
        self._link.send("".join(traceback.format_exception(kind, error, trace)))
        return True


class News(NamedTuple):
    """What a worker tells of a row, beside the numbers of every row.

    Attributes:
        row: whose step had something to tell.
        info: of that step.
        reset_info: of the episode begun after it; None if the last one goes on.
        failed: the episode that SUMO gave up; None if it did not.
    """

    row: int
    info: dict[str, Any]
    reset_info: dict[str, Any] | None = None
    failed: DrivenEpisode | None = None


class _Worker:
    def __init__(self, link: Connection, shared: SharedArrays, task: WorkerTask):
        self._link, self._fd, self._shared, self._index = link, link.fileno(), shared, task.index
        self._weights = task.weights
        self._env = ConvoyEnv(task.scenario_paths, config=task.config)
        # Of its own rows. Views that are made once save a microsecond each in every step.
        self._actions, self._rewards, self._dones, self._episode_actions = (
            array[task.index]
            for array in (shared.actions[:, :, 0], shared.rewards, shared.dones, shared.episode_actions)
        )
        self._observations: list[Any] = [shared.split(row) for row in shared.observations[task.index]]

    def run(self) -> None:
        """Does what it is told until the link ends."""
        while order := os.read(self._fd, 1):
            if order == STEP:
                self._step(0)
                os.write(self._fd, DONE)
            else:
                self._answer(*self._link.recv())
        self._env.close()

    def drive(self, first: int, end: int, actor: Actor | None) -> None:
        """Drives rows, by the actions in them or, with an actor, by its mean and what the row holds beside it."""
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
        observation, reward, terminated, truncated, info = self._env.step(action)
        done = terminated or truncated
        self._rewards[row], self._dones[row] = reward, done
        if done:
            failed = shared.driven_episode(index) if "error" in info else None
            info |= {"TimeLimit.truncated": truncated and not terminated, **self._name_scenario()}
            info["terminal_observation"] = observation  # the environment makes new arrays for the next one
            self._tell(News(row, info, self.reset(None, {}, row + 1), failed))
        else:
            self._put_observation(row + 1, observation)
            if info:
                self._tell(News(row, info | {"TimeLimit.truncated": False}))
        # Last: a row that is counted is whole.
        shared.n_rows[index] = row + 1

    def reset(self, seed: int | None, options: dict[str, Any], row: int = 0) -> dict[str, Any]:
        """Starts an episode at a row, having noted down what repeats it; returns its info."""
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
        observation, info = env.reset(options=options)
        self._put_observation(row, observation)
        return info

    def _put_observation(self, row: int, observation: Observation) -> None:
        view, values = self._observations[row], dict(observation)
        for key, place in view.items():
            place[:] = values[key]

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
        # The environment draws it itself, and will draw the same.
        return int(generator_from_words(generator_words(env.np_random)).integers(n_scenarios))

    def _name_scenario(self) -> dict[str, Any]:
        index = int(self._shared.scenarios[self._index])
        name = self._env.scenario_paths[index].parent.name if index >= 0 else None
        return {"scenario_index": index, "scenario": name}

    def _answer(self, name: str, arguments: Sequence[Any]) -> None:
        try:
            answer = getattr(self, name)(*arguments)
        except _MISTAKES as error:
            if name in ("reset", "drive"):  # without an episode there is no going on
                raise
            os.write(self._fd, FAILED)
            self._link.send(error)
        else:
            if answer is None:
                os.write(self._fd, DONE)
            else:
                self._tell(answer)

    def _tell(self, answer: Any) -> None:
        os.write(self._fd, TOLD)
        self._link.send(answer)
