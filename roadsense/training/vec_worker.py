"""A worker process of `ConvoyVecEnv`: one environment, stepped on one byte, that says why when it dies.

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
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.episode import EnvConfig
from roadsense.errors import RoadSenseError
from roadsense.training.vec_shared import SharedArrays, generator_from_words, generator_words
from roadsense.worker_processes import end_with_program

STEP, CALL = b"s", b"c"
"""To a worker: step, or do what the message that follows says."""
STEPPED, TOLD, FAILED, DIED = b"s", b"t", b"f", b"x"
"""From a worker: stepped with nothing to tell; a message follows; a call failed, with its error; last words follow."""

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


class _Worker:
    def __init__(self, link: Connection, shared: SharedArrays, task: WorkerTask):
        self._link, self._fd, self._shared, self._row = link, link.fileno(), shared, task.index
        self._weights = task.weights
        self._env = ConvoyEnv(task.scenario_paths, config=task.config)
        self._no_options: dict[str, Any] = {}

    def run(self) -> None:
        fd, row, shared = self._fd, self._row, self._shared
        action, rewards, dones, n_steps = shared.actions[row], shared.rewards, shared.dones, shared.n_steps
        env = self._env
        while order := os.read(fd, 1):
            if order == CALL:
                self._answer(*self._link.recv())
                continue
            n_steps[row] += 1
            observation, reward, terminated, truncated, info = env.step(action)
            rewards[row], dones[row] = reward, terminated or truncated
            if terminated or truncated:
                info |= {"TimeLimit.truncated": truncated and not terminated, **self._name_scenario()}
                info["terminal_observation"] = observation  # the environment makes new arrays for the next one
                start = shared.episode_start(row)
                self._tell((info, start, self.reset(None, self._no_options)))
                continue
            shared.write_observation(row, observation)
            if info:
                self._tell((info | {"TimeLimit.truncated": False}, None, None))
            else:
                os.write(fd, STEPPED)
        env.close()

    def reset(self, seed: int | None, options: dict[str, Any]) -> dict[str, Any]:
        """Starts an episode, having noted down what repeats it; returns its info."""
        shared, row, env = self._shared, self._row, self._env
        if seed is not None:
            env.np_random = seeding.np_random(seed)[0]
        index = -1
        if "scenario" not in options:
            index = self._draw_scenario()
            if self._weights is not None:
                options = {**options, "scenario": env.scenario_paths[index]}
        shared.n_steps[row], shared.scenarios[row] = 0, index
        shared.states[row] = generator_words(env.np_random)
        observation, info = env.reset(options=options)
        shared.write_observation(row, observation)
        return info

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
        index = int(self._shared.scenarios[self._row])
        name = self._env.scenario_paths[index].parent.name if index >= 0 else None
        return {"scenario_index": index, "scenario": name}

    def _answer(self, name: str, arguments: Sequence[Any]) -> None:
        try:
            answer = getattr(self, name)(*arguments)
        except _MISTAKES as error:
            if name == "reset":  # without an episode there is no going on
                raise
            os.write(self._fd, FAILED)
            self._link.send(error)
        else:
            self._tell(answer)

    def _tell(self, answer: Any) -> None:
        os.write(self._fd, TOLD)
        self._link.send(answer)
