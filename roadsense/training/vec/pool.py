"""The worker processes of `ConvoyVecEnv`: given orders and read together, and replaced when they die."""

from collections.abc import Callable, Sequence
from multiprocessing import util
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import split_observation
from roadsense.errors import SimulationError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.vec.deaths import DeathRegister
from roadsense.training.vec.pipe import CallFailed, WorkerGone, WorkerPipe, end_workers
from roadsense.training.vec.shared import DrivenEpisode, SharedArrays, by_key
from roadsense.training.vec.worker import StepReport, WorkerTask

Infos = dict[tuple[int, int], dict[str, Any]]
"""Infos of steps by row and worker, where they are not empty."""


class Order(NamedTuple):
    """An order to all workers: the steps to drive next.

    Attributes:
        actions: actions of shape (n_rows, n, 1); with an actor, the noise that is added to its mean.
        actor: network that acts; None to drive the actions as they are.
    """

    actions: NDArray[np.float32]
    actor: Actor | None = None

    @property
    def n_rows(self) -> int:
        """Number of steps of each worker."""
        return len(self.actions)


class Drive(NamedTuple):
    """The steps that all workers drove in some rows.

    Attributes:
        observation_rows: observation before each step, and after the last, shape (n_rows + 1, n, `N_VALUES`).
        actions: actions before they were cut to 0..1, shape (n_rows, n, 1).
        rewards: rewards of the steps, shape (n_rows, n).
        dones: whether the episode ended with the step, shape (n_rows, n).
        infos: info by row and worker, where it is not empty.
    """

    observation_rows: NDArray[np.float32]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float64]
    dones: NDArray[np.bool_]
    infos: Infos

    @property
    def observations(self) -> dict[str, NDArray[np.float32]]:
        """Views of the observations by key, each of shape (n_rows + 1, n, ...)."""
        return by_key(self.observation_rows)


class WorkerPool:
    """Worker processes, one for each index of the shared arrays.

    Args:
        shared: arrays that workers write.
        register: register of deaths, with the scenarios and settings.
        n_workers: number of processes.
        seed: seed of the episodes in workers that replace dead ones.

    Attributes:
        entropy: the seed, and the number of workers replaced since it was set.
        weights: probability of each scenario in new workers; None for uniform.
        reset_infos: info of each worker's last reset.
        is_over: function that says whether a wait for a worker should end early; called every second.
    """

    def __init__(self, shared: SharedArrays, register: DeathRegister, n_workers: int, seed: int):
        self._shared, self._register = shared, register
        self.entropy = (seed, 0)
        self.weights: NDArray[np.float64] | None = None
        self.is_over: Callable[[], bool] = lambda: False
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(n_workers)]
        self._pipes: list[WorkerPipe] = []
        # Before multiprocessing's own exit, which would wait for workers that got no order to end.
        self._end = util.Finalize(self, end_workers, args=(self._pipes,), exitpriority=10)
        self._pipes += [WorkerPipe(shared, self._task(index)) for index in range(n_workers)]

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [pipe.pid for pipe in self._pipes]

    def end(self) -> None:
        """Ends all workers. A second call does nothing."""
        self._end()

    def check(self) -> None:
        """Raises SimulationError if the workers have ended."""
        if not self._end.still_active():
            raise SimulationError("The workers have ended. Make a new ConvoyVecEnv.")

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        """Starts an episode in each worker."""
        for pipe, seed, its_options in zip(self._pipes, seeds, options, strict=True):
            pipe.ask("reset", seed, its_options)
        for index, pipe in enumerate(self._pipes):
            try:
                self.reset_infos[index] = pipe.answer(self.is_over)
            except WorkerGone as gone:
                self._replace(index, str(gone))

    def ask(self, indices: Sequence[int], name: str, *arguments: Any) -> list[Any]:
        """Sends a call to workers; returns their answers.

        Raises:
            SimulationError: if a worker died in the call.
            Exception: the error that the call raised in a worker.
        """
        for index in indices:
            self._pipes[index].ask(name, *arguments)
        answers: list[Any] = []
        failure: Exception | None = None
        for index in indices:
            try:
                answers.append(self._pipes[index].answer(self.is_over))
            except WorkerGone as gone:
                self._replace(index, str(gone))
                failure = SimulationError(f"Worker {index} died in {name}: {gone}")
            except CallFailed as failed:
                failure = failed.error
        if failure:
            raise failure
        return answers

    def begin(self, order: Order) -> None:
        """Starts the drive of every worker."""
        self._shared.actions[:, : order.n_rows] = order.actions.swapaxes(0, 1)
        self._shared.n_rows[:] = 0
        is_step = order.n_rows == 1 and order.actor is None
        for pipe in self._pipes:
            if is_step:
                pipe.step()
            else:
                pipe.ask("drive", 0, order.n_rows, order.actor)

    def finish(self, order: Order) -> Drive:
        """Waits until all workers, or their replacements, have driven."""
        infos: Infos = {}
        # The last one began last: when it has finished, most others have.
        for index in range(len(self._pipes) - 1, -1, -1):
            while not self._handle_message(index, order, infos):
                pass
        shared = self._shared
        n_rows = order.n_rows
        observation_rows = _by_row(shared.observations, n_rows + 1)
        shared.observations[:, 0] = shared.observations[:, n_rows]
        return Drive(
            observation_rows,
            _by_row(shared.actions, n_rows),
            _by_row(shared.rewards, n_rows),
            _by_row(shared.dones, n_rows),
            infos,
        )

    def _handle_message(self, index: int, order: Order, infos: Infos) -> bool:
        """Handles the next message of a worker, or its death; returns whether it has finished."""
        try:
            report: StepReport | None = self._pipes[index].answer(self.is_over)
        except WorkerGone as gone:
            row = min(int(self._shared.n_rows[index]), order.n_rows - 1)
            infos[row, index] = self._end_episode_of_dead(index, row, order, str(gone))
            self._pipes[index].ask("drive", row + 1, order.n_rows, order.actor)
            return False
        if report is None:
            return True
        infos[report.row, index] = report.info
        if report.failed is not None:
            self._report_death(index, report.info["error"], report.failed)
        if report.reset_info is not None:
            self.reset_infos[index] = report.reset_info
        return False

    def _end_episode_of_dead(self, index: int, row: int, order: Order, reason: str) -> dict[str, Any]:
        """Replaces a worker that died in a row, ends its episode there, and returns the info of that step."""
        shared = self._shared
        seen = split_observation(shared.observations[index, row].copy())
        self._replace(index, reason, row + 1)
        shared.rewards[index, row], shared.dones[index, row], shared.n_rows[index] = 0.0, True, row + 1
        if order.actor is not None:
            # Whether it had added the mean before it died is unknown.
            shared.actions[index, row] = order.actions[row, index] + ActorPolicy(order.actor)(seen)
        return {"error": reason, "TimeLimit.truncated": True, "terminal_observation": seen}

    def _replace(self, index: int, reason: str, row: int = 0) -> None:
        """Reports a dead worker and starts another, which begins an episode at a row."""
        shared = self._shared
        while True:
            self._report_death(index, reason, shared.driven_episode(index))
            shared.scenarios[index], shared.n_steps[index] = -1, 0
            self._pipes[index].disconnect()
            self._pipes[index] = WorkerPipe(shared, self._task(index))
            self.entropy = (self.entropy[0], self.entropy[1] + 1)
            seed = np.random.SeedSequence((self.entropy[0], index, self.entropy[1])).generate_state(1)[0]
            self._pipes[index].ask("reset", int(seed), {}, row)
            try:
                self.reset_infos[index] = self._pipes[index].answer(self.is_over)
            except WorkerGone as gone:
                reason = str(gone)
            else:
                return

    def _report_death(self, index: int, reason: str, episode: DrivenEpisode) -> None:
        try:
            self._register.report(index, reason, episode)
        except SimulationError:
            self.end()
            raise

    def _task(self, index: int) -> WorkerTask:
        return WorkerTask(index, self._register.scenario_paths, self._register.config, self.weights)


def _by_row(array: NDArray[Any], n_rows: int) -> NDArray[Any]:
    return array[:, :n_rows].swapaxes(0, 1).copy()
