"""The worker processes of `ConvoyVecEnv`: told and heard all at once, and replaced when they die."""

from collections.abc import Callable, Sequence
from multiprocessing import util
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import SimulationError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.vec.deaths import DeathRegister
from roadsense.training.vec.pipe import CallFailed, WorkerGone, WorkerLink, end_workers
from roadsense.training.vec.shared import DrivenEpisode, SharedArrays
from roadsense.training.vec.worker import News, WorkerTask

Infos = dict[tuple[int, int], dict[str, Any]]
"""Infos of steps by row and worker, where there is something in them."""


class Order(NamedTuple):
    """What all workers are told to drive.

    Attributes:
        actions: (n_rows, n, 1); with an actor, what is added to its mean.
        actor: None to drive the actions as they are.
    """

    actions: NDArray[np.float32]
    actor: Actor | None = None

    @property
    def n_rows(self) -> int:
        """Steps of each worker."""
        return len(self.actions)


class Drive(NamedTuple):
    """What all workers drove in some rows of steps.

    Attributes:
        observations: each of shape (n_rows + 1, n, ...): what was seen before each row, and after the last.
        actions: (n_rows, n, 1), before they were cut to 0..1.
        rewards: (n_rows, n).
        dones: (n_rows, n) whether the episode ended with that row.
        infos: by row and worker, where there is something in them.
    """

    observations: dict[str, NDArray[np.float32]]
    actions: NDArray[np.float32]
    rewards: NDArray[np.float64]
    dones: NDArray[np.bool_]
    infos: Infos


class Crew:
    """Worker processes, one for each row of the shared arrays.

    Args:
        shared: arrays that workers write.
        register: of scenarios, settings and deaths.
        n_workers: processes.
        seed: of the episodes of those that replace the dead.

    Attributes:
        entropy: the seed, and how many were replaced since it was set.
        weights: probability of each scenario in those that are started; None for uniform.
        reset_infos: what each worker's last reset said.
        is_over: whether there is no more time to wait for a worker; asked every second of waiting.
    """

    def __init__(self, shared: SharedArrays, register: DeathRegister, n_workers: int, seed: int):
        self._shared, self._register = shared, register
        self.entropy = (seed, 0)
        self.weights: NDArray[np.float64] | None = None
        self.is_over: Callable[[], bool] = lambda: False
        self.reset_infos: list[dict[str, Any]] = [{} for _ in range(n_workers)]
        self._links: list[WorkerLink] = []
        # Before multiprocessing's own end, which would wait for workers that nobody has told.
        self._end = util.Finalize(self, end_workers, args=(self._links,), exitpriority=10)
        self._links += [WorkerLink(shared, self._task(index)) for index in range(n_workers)]

    @property
    def pids(self) -> list[int]:
        """Process ids."""
        return [link.pid for link in self._links]

    def end(self) -> None:
        """Ends all workers. May be called again."""
        self._end()

    def check(self) -> None:
        """Raises SimulationError if the workers have ended."""
        if not self._end.still_active():
            raise SimulationError("The workers have ended. Make a new ConvoyVecEnv.")

    def reset(self, seeds: Sequence[int | None], options: Sequence[dict[str, Any]]) -> None:
        """Starts an episode in each worker."""
        for link, seed, its_options in zip(self._links, seeds, options, strict=True):
            link.ask("reset", seed, its_options)
        for index, link in enumerate(self._links):
            try:
                self.reset_infos[index] = link.answer(self.is_over)
            except WorkerGone as gone:
                self._replace(index, str(gone))

    def ask(self, indices: Sequence[int], name: str, *arguments: Any) -> list[Any]:
        """Lets workers do something; returns their answers.

        Raises:
            SimulationError: if one died of it.
            Exception: what one raised.
        """
        for index in indices:
            self._links[index].ask(name, *arguments)
        answers: list[Any] = []
        mistake: Exception | None = None
        for index in indices:
            try:
                answers.append(self._links[index].answer(self.is_over))
            except WorkerGone as gone:
                self._replace(index, str(gone))
                mistake = SimulationError(f"Worker {index} died in {name}: {gone}")
            except CallFailed as failed:
                mistake = failed.error
        if mistake:
            raise mistake
        return answers

    def begin(self, order: Order) -> None:
        """Lets every worker begin to drive."""
        self._shared.actions[:, : order.n_rows] = order.actions.swapaxes(0, 1)
        self._shared.n_rows[:] = 0
        is_step = order.n_rows == 1 and order.actor is None
        for link in self._links:
            if is_step:
                link.step()
            else:
                link.ask("drive", 0, order.n_rows, order.actor)

    def finish(self, order: Order) -> Drive:
        """Waits until all workers, or those in their place, have driven."""
        infos: Infos = {}
        # The last was told last, so few of the others still have to be waited for after it.
        for index in range(len(self._links) - 1, -1, -1):
            while not self._hear(index, order, infos):
                pass
        shared = self._shared
        observations = shared.split(_by_row(shared.observations, order.n_rows + 1))
        shared.observations[:, 0] = shared.observations[:, order.n_rows]
        n_rows = order.n_rows
        return Drive(
            observations,
            _by_row(shared.actions, n_rows),
            _by_row(shared.rewards, n_rows),
            _by_row(shared.dones, n_rows),
            infos,
        )

    def _hear(self, index: int, order: Order, infos: Infos) -> bool:
        """Takes in the next message of a worker, or its death; returns whether it is done."""
        try:
            news: News | None = self._links[index].answer(self.is_over)
        except WorkerGone as gone:
            row = min(int(self._shared.n_rows[index]), order.n_rows - 1)
            infos[row, index] = self._bury(index, row, order, str(gone))
            self._links[index].ask("drive", row + 1, order.n_rows, order.actor)
            return False
        if news is None:
            return True
        infos[news.row, index] = news.info
        if news.failed is not None:
            self._report(index, news.info["error"], news.failed)
        if news.reset_info is not None:
            self.reset_infos[index] = news.reset_info
        return False

    def _bury(self, index: int, row: int, order: Order, reason: str) -> dict[str, Any]:
        """Replaces a worker that died in a row, ends its episode there, and returns the info of that."""
        shared = self._shared
        seen = shared.split(shared.observations[index, row].copy())
        self._replace(index, reason, row + 1)
        shared.rewards[index, row], shared.dones[index, row], shared.n_rows[index] = 0.0, True, row + 1
        if order.actor is not None:
            # Whether it has added the mean before it died isn't known.
            shared.actions[index, row] = order.actions[row, index] + ActorPolicy(order.actor)(seen)
        return {"error": reason, "TimeLimit.truncated": True, "terminal_observation": seen}

    def _replace(self, index: int, reason: str, row: int = 0) -> None:
        """Reports a dead worker and puts another in its place, which has begun an episode at a row."""
        shared = self._shared
        while True:
            self._report(index, reason, shared.driven_episode(index))
            shared.scenarios[index], shared.n_steps[index] = -1, 0
            self._links[index].disconnect()
            self._links[index] = WorkerLink(shared, self._task(index))
            self.entropy = (self.entropy[0], self.entropy[1] + 1)
            seed = np.random.SeedSequence((self.entropy[0], index, self.entropy[1])).generate_state(1)[0]
            self._links[index].ask("reset", int(seed), {}, row)
            try:
                self.reset_infos[index] = self._links[index].answer(self.is_over)
            except WorkerGone as gone:
                reason = str(gone)
            else:
                return

    def _report(self, index: int, reason: str, episode: DrivenEpisode) -> None:
        try:
            self._register.report(index, reason, episode)
        except SimulationError:
            self.end()
            raise

    def _task(self, index: int) -> WorkerTask:
        return WorkerTask(index, self._register.scenario_paths, self._register.config, self.weights)


def _by_row(array: NDArray[Any], n_rows: int) -> NDArray[Any]:
    return array[:, :n_rows].swapaxes(0, 1).copy()
