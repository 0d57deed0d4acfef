"""Many environments at once, in worker processes that are fast, never hang, and say why when they die."""

from collections.abc import Callable, Iterable, Sequence
from multiprocessing import util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from roadsense.envs.episode import EnvConfig
from roadsense.envs.observation import Observation, observation_space
from roadsense.errors import InputError, SimulationError
from roadsense.policies.actor import Actor
from roadsense.policies.actor_policy import ActorPolicy
from roadsense.training.vec_link import CallFailed, WorkerGone, WorkerLink, end_workers
from roadsense.training.vec_shared import MAX_ROWS, DrivenEpisode, SharedArrays
from roadsense.training.vec_worker import News, WorkerTask
from roadsense.training.worker_death import DeathRegister, WorkerDeath


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
    infos: dict[tuple[int, int], dict[str, Any]]


class _Order(NamedTuple):
    n_rows: int
    actor: Actor | None = None
    actions: Any = None


class ConvoyVecEnv(VecEnv):
    """`ConvoyEnv` in worker processes, for Stable-Baselines3: the same episodes as in its `SubprocVecEnv`, faster.

    `step` is one step of every worker. `drive` is many, with a policy in the workers, and much faster: nobody waits for
    another after each of them. Observations, rewards, actions and ends lie in shared memory; infos are sent when there
    is something in them, so switch off `EnvConfig.step_info`. Workers import nothing that learns.

    At the end of an episode `info` also holds `scenario_index` and `scenario`. A worker that dies, or is silent for
    `roadsense.training.vec_link.ANSWER_LIMIT_S` and is killed, is replaced: its episode ends truncated with the last
    observation, reward 0, no `outcome` and `info["error"]`. An episode that SUMO gave up, which ends the same way but
    has its worker and its outcome, is reported and counted too. Every wait has that limit, for each worker.

    Args:
        scenario_paths: paths of `.sumocfg` files; each worker draws from all of them.
        config: settings of the environments.
        n_workers: processes, one SUMO each.
        seed: of the first episodes, as `seed()` would set it.
        on_death: called with a report on every worker that dies.
        max_deaths: more than these stop everything.

    Raises:
        InputError: for no scenario, no worker, or a negative `max_deaths`.
        SimulationError: also of later calls, when more than `max_deaths` workers have died; it holds the reasons.
    """

    def __init__(
        self,
        scenario_paths: Sequence[str | Path],
        config: EnvConfig,
        n_workers: int,
        seed: int = 0,
        on_death: Callable[[WorkerDeath], None] | None = None,
        max_deaths: int = 10,
    ):
        if not scenario_paths or n_workers < 1 or max_deaths < 0:
            raise InputError(
                "Expected scenarios, n_workers of at least 1 and max_deaths of at least 0, "
                f"got {len(scenario_paths)}, {n_workers} and {max_deaths}."
            )
        self.scenario_paths = tuple(Path(path).resolve() for path in scenario_paths)
        self.config = config
        self._register = DeathRegister(self.scenario_paths, config, on_death, max_deaths)
        self._weights: NDArray[np.float64] | None = None
        self._entropy, self._n_replaced = seed, 0
        space = observation_space()
        self._shared = SharedArrays(space, n_workers, config.n_steps)
        self._is_stepping = False
        self._links: list[WorkerLink] = []
        # Before multiprocessing's own end, which would wait for workers that nobody has told.
        self._end = util.Finalize(self, end_workers, args=(self._links,), exitpriority=10)
        self._links += [WorkerLink(self._shared, self._task(index)) for index in range(n_workers)]
        super().__init__(n_workers, space, spaces.Box(0.0, 1.0, (1,), np.float32))
        self.seed(seed)

    @property
    def deaths(self) -> list[WorkerDeath]:
        """All reports so far."""
        return self._register.deaths

    def reset(self) -> dict[str, NDArray[np.float32]]:
        """Starts an episode in each worker, with the seeds and options that were set since the last reset."""
        self._finish_step()
        for link, seed, options in zip(self._links, self._seeds, self._options, strict=True):
            link.ask("reset", seed, options)
        for index in range(self.num_envs):
            try:
                self.reset_infos[index] = self._links[index].answer()
            except WorkerGone as gone:
                self._replace(index, str(gone))
        self._reset_seeds()
        self._reset_options()
        return self._observe()

    def restart(self, seed: int) -> Observation:
        """Ends all episodes and starts afresh: what follows depends on `seed`, the weights and the actions alone."""
        children = np.random.SeedSequence(seed).spawn(self.num_envs)
        self._seeds = [int(child.generate_state(1)[0]) for child in children]
        self._entropy, self._n_replaced = seed, 0
        return self.reset()  # type: ignore[return-value]

    def set_weights(self, weights: NDArray[np.float64] | None) -> None:
        """Sets the probability of each scenario at later resets.

        Args:
            weights: (n_scenarios,) from 0, with a sum of 1; None for all alike.

        Raises:
            InputError: if they are no probabilities of these scenarios.
        """
        if weights is not None:
            weights = np.array(weights, np.float64)
            fits = weights.shape == (len(self.scenario_paths),) and bool((weights >= 0).all())
            if not fits or abs(weights.sum() - 1) > 1e-6:
                raise InputError(
                    f"Expected {len(self.scenario_paths)} weights from 0 with a sum of 1, got {weights.tolist()}."
                )
            weights /= weights.sum()
        self._weights = weights
        self._ask_all("set_weights", weights)

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Lets every worker begin a step."""
        self._check_open()
        self._shared.actions[:, 0] = np.asarray(actions).reshape(-1, 1)
        self._shared.n_rows[:] = 0
        self._is_stepping = True
        for link in self._links:
            link.step()

    def step_wait(self) -> VecEnvStepReturn:
        """Waits for the step of every worker; returns observations, rewards, ends and infos."""
        self._is_stepping = False
        told = self._collect(_Order(1))
        infos = [told.get((0, index), {"TimeLimit.truncated": False}) for index in range(self.num_envs)]
        return self._observe(), self._shared.rewards[:, 0].copy(), self._shared.dones[:, 0].copy(), infos

    def drive(self, actions: NDArray[np.float32], actor: Actor | None = None) -> Drive:
        """Lets every worker drive many steps by itself.

        Args:
            actions: (n_rows, n, 1), up to `MAX_ROWS` rows; cut to 0..1 before they are driven.
            actor: with one, the actions are its mean for what is seen plus `actions`, which are then the noise.

        Raises:
            InputError: for too many rows.
        """
        self._finish_step()
        n_rows = len(actions)
        if not 1 <= n_rows <= MAX_ROWS:
            raise InputError(f"Expected 1 to {MAX_ROWS} rows, got {n_rows}. Drive them one after the other.")
        shared, order = self._shared, _Order(n_rows, actor, actions)
        shared.actions[:, :n_rows] = actions.swapaxes(0, 1)
        shared.n_rows[:] = 0
        for link in self._links:
            link.ask("drive", 0, n_rows, actor)
        infos = self._collect(order)
        observations = shared.observations[:, : n_rows + 1].swapaxes(0, 1).copy()
        rows = (array[:, :n_rows].swapaxes(0, 1).copy() for array in (shared.actions, shared.rewards, shared.dones))
        return Drive(shared.split(observations), *rows, infos)

    def close(self) -> None:
        """Ends all workers. May be called again."""
        self._end()

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any
    ) -> list[Any]:
        """Calls a method of the environments and returns the answers; an error in it is raised here."""
        return self._ask_all("env_method", method_name, method_args, method_kwargs, indices=indices)

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Returns an attribute of the environments."""
        return self._ask_all("get_attr", attr_name, indices=indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the environments."""
        self._ask_all("set_attr", attr_name, value, indices=indices)

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """Returns False for each environment: they are bare."""
        return [False for _ in self._get_indices(indices)]

    def _ask_all(self, name: str, *arguments: Any, indices: VecEnvIndices = None) -> list[Any]:
        self._finish_step()
        chosen: Iterable[int] = list(self._get_indices(indices))
        for index in chosen:
            self._links[index].ask(name, *arguments)
        answers: list[Any] = []
        mistake: Exception | None = None
        for index in chosen:
            try:
                answers.append(self._links[index].answer())
            except WorkerGone as gone:
                self._replace(index, str(gone))
                mistake = SimulationError(f"Worker {index} died in {name}: {gone}")
            except CallFailed as failed:
                mistake = failed.error
        if mistake:
            raise mistake
        return answers

    def _task(self, index: int) -> WorkerTask:
        return WorkerTask(index, self.scenario_paths, self.config, self._weights)

    def _collect(self, order: _Order) -> dict[tuple[int, int], dict[str, Any]]:
        """Waits until all workers, or their successors, have driven; returns the infos by row and worker."""
        infos: dict[tuple[int, int], dict[str, Any]] = {}
        # The last was told last, so few of the others still have to be waited for after it.
        for index in range(self.num_envs - 1, -1, -1):
            while True:
                try:
                    news: News | None = self._links[index].answer()
                except WorkerGone as gone:
                    row = min(int(self._shared.n_rows[index]), order.n_rows - 1)
                    infos[row, index] = self._bury(index, row, order, str(gone))
                    self._links[index].ask("drive", row + 1, order.n_rows, order.actor)
                    continue
                if news is None:
                    break
                infos[news.row, index] = news.info
                if news.failed is not None:
                    self._report(index, news.info["error"], news.failed)
                if news.reset_info is not None:
                    self.reset_infos[index] = news.reset_info
        self._shared.observations[:, 0] = self._shared.observations[:, order.n_rows]
        return infos

    def _bury(self, index: int, row: int, order: _Order, reason: str) -> dict[str, Any]:
        """Replaces a worker that died in a row, ends its episode there, and returns the info of that."""
        shared = self._shared
        seen = shared.split(shared.observations[index, row].copy())
        self._replace(index, reason, row + 1)
        shared.rewards[index, row], shared.dones[index, row], shared.n_rows[index] = 0.0, True, row + 1
        if order.actor is not None:
            # It may have died before or after adding the mean.
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
            self._n_replaced += 1
            seed = np.random.SeedSequence((self._entropy, index, self._n_replaced)).generate_state(1)[0]
            self._links[index].ask("reset", int(seed), {}, row)
            try:
                self.reset_infos[index] = self._links[index].answer()
            except WorkerGone as gone:
                reason = str(gone)
            else:
                return

    def _report(self, index: int, reason: str, episode: DrivenEpisode) -> None:
        try:
            self._register.report(index, reason, episode)
        except SimulationError:
            self.close()
            raise

    def _check_open(self) -> None:
        if not self._end.still_active():
            raise SimulationError("The workers have ended. Make a new ConvoyVecEnv.")

    def _finish_step(self) -> None:
        self._check_open()
        if self._is_stepping:
            self.step_wait()

    def _observe(self) -> Any:
        return self._shared.split(self._shared.observations[:, 0].copy())
