"""Many environments in parallel, in fast worker processes that never hang and report why they died."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn

from roadsense.envs.config import EnvConfig
from roadsense.envs.make import list_paths
from roadsense.envs.observation import observation_space
from roadsense.envs.own_parts import describe_own
from roadsense.errors import InputError, SimulationError
from roadsense.policies.actor import Actor
from roadsense.training.vec.deaths import DeathRegister, WorkerDeath
from roadsense.training.vec.pool import Drive, Order, WorkerPool
from roadsense.training.vec.shared import MAX_ROWS, SharedArrays, by_key
from roadsense.utils.values import make_settings


class ConvoyVecEnv(VecEnv):
    """`ConvoyEnv` in worker processes, for Stable-Baselines3: the same episodes as in its `SubprocVecEnv`, faster.

    `step` drives one step of every worker. `drive` drives many, with a policy in the workers, and is much faster: no
    worker waits for another after each step. Observations, rewards, actions and ends are in shared memory; an info is
    sent only if it is not empty, so switch off `EnvConfig.step_info`. Workers do not import the learning code.

    At the end of an episode `info` also holds `scenario_index` and `scenario`. A worker that dies, or sends nothing for
    `roadsense.training.vec.pipe.ANSWER_LIMIT_S` and is killed, is replaced: its episode ends truncated with the last
    observation, reward 0, no `outcome` and `info["error"]`. An episode in which SUMO failed ends the same way, but has
    its outcome; it is reported and counted too. Every wait for a worker has that limit.

    Args:
        scenario_paths: paths of `.sumocfg` files; each worker draws from all of them.
        config: settings of the environments.
        n_workers: number of processes, from 1, each with one SUMO.
        seed: seed of the first episodes, as `seed()` sets it.
        on_death: function called with a report on every worker that dies.
        max_deaths: highest number of deaths, from 0, that does not end the training.

    Raises:
        InputError: for no scenario, no worker, or a negative `max_deaths`.
        SimulationError: in later calls, when more than `max_deaths` workers have died; it holds the reasons.
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
        if config.observation:
            raise InputError(
                f"Expected no observation of your own, because workers share memory, got {config.observation!r}. "
                'Use gymnasium.make_vec(..., vectorization_mode="async") or SubprocVecEnv.'
            )
        describe_own(config)
        self.scenario_paths = tuple(Path(path).resolve() for path in scenario_paths)
        self.config = config
        self._register = DeathRegister(self.scenario_paths, config, on_death, max_deaths)
        self._shared = SharedArrays(n_workers, config.n_steps)
        self._pool = WorkerPool(self._shared, self._register, n_workers, seed)
        self._stepping: Order | None = None
        super().__init__(n_workers, observation_space(), spaces.Box(0.0, 1.0, (1,), np.float32))
        self.reset_infos = self._pool.reset_infos
        self.seed(seed)

    @property
    def deaths(self) -> list[WorkerDeath]:
        """All reports of deaths so far."""
        return self._register.deaths

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return self._pool.pids

    def hurry_when(self, is_over: Callable[[], bool]) -> None:
        """Sets the function that says whether a wait for a worker should end early; the worker then counts as stuck."""
        self._pool.is_over = is_over

    def reset(self) -> dict[str, NDArray[np.float32]]:
        """Starts an episode in each worker, with the seeds and options that were set since the last reset."""
        self._finish_step()
        self._pool.reset(self._seeds, self._options)
        self._reset_seeds()
        self._reset_options()
        return self._observe()

    def restart(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Ends all episodes and starts new ones, which depend only on `seed`, the weights and the actions."""
        children = np.random.SeedSequence(seed).spawn(self.num_envs)
        self._seeds = [int(child.generate_state(1)[0]) for child in children]
        self._pool.entropy = (seed, 0)
        return self.reset()

    def set_weights(self, weights: NDArray[np.float64] | None) -> None:
        """Sets the probability of each scenario at later resets.

        Args:
            weights: probabilities of shape (n_scenarios,), from 0, with a sum of 1; None for uniform.

        Raises:
            InputError: if they are not probabilities of these scenarios.
        """
        if weights is not None:
            weights = np.array(weights, np.float64)
            fits = weights.shape == (len(self.scenario_paths),) and bool((weights >= 0).all())
            if not fits or abs(weights.sum() - 1) > 1e-6:
                raise InputError(
                    f"Expected {len(self.scenario_paths)} weights from 0 with a sum of 1, got {weights.tolist()}."
                )
            weights /= weights.sum()
        self._pool.weights = weights
        self._ask_all("set_weights", weights)

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Lets every worker begin a step."""
        self._pool.check()
        self._stepping = Order(np.asarray(actions, np.float32).reshape(1, -1, 1))
        self._pool.begin(self._stepping)

    def step_wait(self) -> VecEnvStepReturn:
        """Waits for the step of every worker; returns observations, rewards, ends and infos."""
        if self._stepping is None:
            raise SimulationError("No step is running. Call step_async() before step_wait().")
        order, self._stepping = self._stepping, None
        drive = self._pool.finish(order)
        infos = [drive.infos.get((0, index), {"TimeLimit.truncated": False}) for index in range(self.num_envs)]
        return by_key(drive.observation_rows[1]), drive.rewards[0], drive.dones[0], infos

    def drive(self, actions: NDArray[np.float32], actor: Actor | None = None) -> Drive:
        """Lets every worker drive many steps by itself.

        Args:
            actions: actions of shape (n_rows, n, 1), up to `MAX_ROWS` rows; cut to 0..1 before they are driven.
            actor: network that acts; its mean for the observation is then added to `actions`, which are the noise.

        Raises:
            InputError: if there is no row, or more than `MAX_ROWS`.
        """
        self._finish_step()
        if not 1 <= len(actions) <= MAX_ROWS:
            raise InputError(f"Expected 1 to {MAX_ROWS} rows, got {len(actions)}. Drive them one after the other.")
        order = Order(actions, actor)
        self._pool.begin(order)
        return self._pool.finish(order)

    def close(self) -> None:
        """Ends all workers. A second call does nothing."""
        self._pool.end()

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
        """Returns False for each environment: none has a wrapper."""
        return [False for _ in self._get_indices(indices)]

    def _ask_all(self, name: str, *arguments: Any, indices: VecEnvIndices = None) -> list[Any]:
        self._finish_step()
        return self._pool.ask(list(self._get_indices(indices)), name, *arguments)

    def _finish_step(self) -> None:
        self._pool.check()
        if self._stepping is not None:
            self.step_wait()

    def _observe(self) -> dict[str, NDArray[np.float32]]:
        return by_key(self._shared.observations[:, 0].copy())


def make_vec_env(
    scenarios: str | Path | Sequence[str | Path],
    n_workers: int = 4,
    config: EnvConfig | Mapping[str, Any] | None = None,
    seed: int = 0,
) -> ConvoyVecEnv:
    """Starts worker processes with one `ConvoyEnv` each, as the vector environment of Stable-Baselines3.

    Args:
        scenarios: a folder, below which every `.sumocfg` is used, or the paths of `.sumocfg` files.
        n_workers: number of worker processes, from 1; four a core keep the cores busy.
        config: settings of the environments, also as a mapping. `step_info=False`, the default here, is faster.
        seed: seed of all random draws.

    Raises:
        InputError: for no worker.
        ScenarioError: if the folder holds no scenario.

    Examples:
        >>> import roadsense as rs
        >>> from stable_baselines3 import A2C
        >>> envs = rs.make_vec_env("scenarios/base", n_workers=2)
        >>> model = A2C("MultiInputPolicy", envs, n_steps=8).learn(32)
        >>> model.num_timesteps
        32
        >>> envs.close()
    """
    if isinstance(config, EnvConfig):
        return ConvoyVecEnv(list_paths(scenarios), config, n_workers, seed)
    made = make_settings(EnvConfig, {"step_info": False, **(config or {})})
    return ConvoyVecEnv(list_paths(scenarios), made, n_workers, seed)
