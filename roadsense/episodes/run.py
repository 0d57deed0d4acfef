"""Running planned episodes, each policy on the same ones, in worker processes.

An episode is decided by its plan alone, so the table is the same whatever the number of workers.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import Observation
from roadsense.episodes.plan import BOUND, MUTED, POLICY, Plan, Row, reset_options
from roadsense.errors import InputError, ScenarioError, SimulationError
from roadsense.policies.baselines import BASELINES
from roadsense.policies.rules import Policy
from roadsense.policies.trained import load_policy
from roadsense.scenarios.scenario import ScenarioName
from roadsense.utils.progress import progress_bar
from roadsense.utils.worker_processes import start_pool


class Worker:
    """Runs planned episodes one after the other in one environment.

    Args:
        env_config: settings of the environment.
        policy: the judged policy or its file; None if only baselines are run. A file is loaded when first needed.
        others: more policies, by name.
    """

    def __init__(
        self,
        env_config: EnvConfig,
        policy: Path | Policy | None = None,
        others: Mapping[str, Policy] | None = None,
    ):
        self._config = env_config
        self._policy = policy
        self._controllers = {BOUND: BASELINES["unassisted"], **BASELINES, **(others or {})}
        self._env: ConvoyEnv | None = None

    def run(self, plan: Plan) -> Row:
        """Runs an episode and returns its row; `error` says so if SUMO failed in it.

        Raises:
            ScenarioError: if the scenario cannot be opened.
            InputError: if the policy cannot be.
        """
        controller = self.controller(plan.policy)
        try:
            return run_episode(self._open(plan), controller, plan)
        except SimulationError as error:
            return {**_describe_plan(plan), "error": str(error)}

    def close(self) -> None:
        """Ends the simulation."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def env_config(self, plan: Plan) -> EnvConfig:
        """Returns the settings a plan is run with."""
        checks = self._config.sumo_checks if plan.sumo_checks is None else plan.sumo_checks
        return replace(self._config, sumo_checks=checks)

    def controller(self, name: str) -> Policy:
        """Returns the policy of that name.

        Raises:
            InputError: if there is none, or its file cannot be loaded.
        """
        if name in (POLICY, MUTED) and name not in self._controllers:
            if self._policy is None:
                raise SimulationError(f"Expected the file of a policy to run {name!r}, got none.")
            judged = load_policy(self._policy) if isinstance(self._policy, Path) else self._policy
            self._controllers[POLICY] = self._controllers[MUTED] = judged
        if name not in self._controllers:
            raise InputError(f"Expected a policy of {sorted(self._controllers)}, got {name!r}.")
        return self._controllers[name]

    def _open(self, plan: Plan) -> ConvoyEnv:
        config = self.env_config(plan)
        if self._env is None or self._env.config != config:
            self.close()
            self._env = ConvoyEnv([plan.config_path], config=config)
        return self._env


def run_episode(env: ConvoyEnv, controller: Policy, plan: Plan) -> Row:
    """Runs a planned episode and returns its row: the plan, what was drawn, and the outcome."""
    observation, drawn = env.reset(seed=plan.seed, options=reset_options(plan))
    over = False
    while not over:
        observation, _, terminated, truncated, info = env.step(controller(as_batch(observation))[0])
        over = terminated or truncated
    return {**_describe_plan(plan), **_describe_draw(drawn), **info["outcome"], "error": info.get("error", "")}


def as_batch(observation: Observation) -> Observation:
    """Returns a batch of one observation."""
    return Observation(
        ego=observation["ego"][None], peers=observation["peers"][None], peer_mask=observation["peer_mask"][None]
    )


def run_plans(plans: Sequence[Plan], worker: Worker, n_workers: int) -> list[Row]:
    """Runs episodes in worker processes and returns their rows in the order of the plans.

    Args:
        plans: what is run.
        worker: what each process runs them with; not yet used.
        n_workers: processes, from 1.

    Raises:
        ScenarioError: if a scenario cannot be opened.
        InputError: if the policy cannot be.
        SimulationError: if a process dies.
    """
    bar = progress_bar(len(plans), "evaluating", "episode")
    with start_pool(n_workers, [__name__], _start_worker, (worker,)) as pool, bar:
        return list(_collect(pool.map(_run_in_worker, plans), plans, bar))


def _collect(rows: Iterator[Row], plans: Sequence[Plan], bar: Any) -> Iterator[Row]:
    try:
        for row in rows:
            bar.update()
            yield row
    except BrokenProcessPool as error:
        raise SimulationError(
            f"A worker process died, about when {plans[bar.n]} was run: SUMO crashed, or memory ran out. "
            "Try that scenario alone, or fewer workers."
        ) from error


_worker: Worker | None = None


def _start_worker(worker: Worker) -> None:
    global _worker
    _worker = worker


def _run_in_worker(plan: Plan) -> Row:
    if _worker is None:
        raise SimulationError("This process was not started as a worker.")
    return _worker.run(plan)


def _describe_plan(plan: Plan) -> Row:
    scenario = plan.config_path.parent.name
    try:
        base = ScenarioName.parse(scenario).base
    except ScenarioError:  # a hand-made scenario is its own base
        base = scenario
    return {
        "policy": plan.policy,
        "scenario": scenario,
        "base": base,
        "config_path": str(plan.config_path),
        "seed": plan.seed,
        "hazard_forced": plan.hazard,
    }


def _describe_draw(drawn: dict[str, Any]) -> Row:
    hazard, driver = drawn["hazard"], drawn["driver"]
    return {
        "sumo_seed": drawn["sumo_seed"],
        "hazard_car": np.nan if hazard is None else hazard.car,
        "hazard_planned_s": np.nan if hazard is None else hazard.onset_s,
        "hazard_deceleration_mps2": np.nan if hazard is None else hazard.deceleration_mps2,
        "driver_reaction_time_s": driver.reaction_time_s,
        "driver_time_headway_s": driver.time_headway_s,
        "radio_loss_20_to_50_m": drawn["v2v"].loss[1],
        "radio_latency_s": drawn["v2v"].latency_mean_s,
        "radio_position_std_m": drawn["v2v"].position_std_m,
    }
