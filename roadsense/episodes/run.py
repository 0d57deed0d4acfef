"""Runs planned episodes, each policy on the same ones, in worker processes.

The plan decides everything in an episode, so the rows don't depend on the number of workers.
"""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, Observation
from roadsense.episodes.drive import drive
from roadsense.episodes.journal import Journal
from roadsense.episodes.plan import (
    BOUND,
    LONG_HEADWAY,
    MUTED,
    OTHER_MESSAGES,
    POLICY,
    Plan,
    Row,
    reset_options,
)
from roadsense.errors import InputError, ScenarioError, SimulationError
from roadsense.policies.rules import BASELINES, Policy
from roadsense.policies.trained import load_policy
from roadsense.scenarios.records import ScenarioName
from roadsense.utils.progress import progress_bar
from roadsense.utils.worker_processes import run_in_workers

EPISODE_LIMIT_S = 300.0
"""Longest wall time of an episode, which takes about 1 s, before its process counts as hanging."""

OTHER_EPISODE = 0x4F544845
"""Turns an episode's seed into the seed of the episode whose messages are heard instead."""


class Worker:
    """Runs planned episodes one after the other in one environment.

    Args:
        env_config: settings of the environment.
        policy: the judged policy, or its file, which is loaded when it is first needed; None to run only baselines.
        others: other policies, by name.
    """

    def __init__(
        self,
        env_config: EnvConfig,
        policy: Path | Policy | None = None,
        others: Mapping[str, Policy] | None = None,
    ):
        self._config = env_config
        self._policy = policy
        alone = BASELINES["unassisted"]
        self._policies = {BOUND: alone, LONG_HEADWAY: alone, **BASELINES, **(others or {})}
        self._env: ConvoyEnv | None = None

    def run(self, plan: Plan) -> Row:
        """Runs an episode and returns its row; if SUMO failed, `error` says how.

        Raises:
            ScenarioError: if the scenario cannot be opened.
            InputError: if the policy cannot be loaded.
        """
        policy = self.policy(plan)
        try:
            env = self.open_env(plan)
            if plan.policy == OTHER_MESSAGES:
                policy = OtherMessages(policy, record_messages(env, replace(plan, seed=plan.seed ^ OTHER_EPISODE)))
            return run_episode(env, policy, plan)
        except SimulationError as error:
            return {**_describe_plan(plan), "error": str(error)}

    def close(self) -> None:
        """Ends the simulation."""
        if self._env is not None:
            self._env.close()
            self._env = None

    def env_config(self, plan: Plan) -> EnvConfig:
        """Returns the environment's settings for a plan."""
        checks = self._config.sumo_checks if plan.sumo_checks is None else plan.sumo_checks
        return replace(self._config, sumo_checks=checks, **dict(plan.settings))

    def policy(self, plan: Plan) -> Policy:
        """Returns the policy of a plan, which sees what the plan says.

        Raises:
            InputError: if there is none of that name, or its file cannot be loaded.
        """
        policy = self._find_policy(plan.policy)
        return NoisyAcceleration(policy, plan.own_noise_mps2, plan.seed) if plan.own_noise_mps2 else policy

    def _find_policy(self, name: str) -> Policy:
        if name in (POLICY, MUTED, OTHER_MESSAGES) and name not in self._policies:
            if self._policy is None:
                raise SimulationError(f"Expected the file of a policy to run {name!r}, got none.")
            judged = load_policy(self._policy) if isinstance(self._policy, Path) else self._policy
            self._policies |= dict.fromkeys((POLICY, MUTED, OTHER_MESSAGES), judged)
        if name not in self._policies:
            raise InputError(f"Expected a policy of {sorted(self._policies)}, got {name!r}.")
        return self._policies[name]

    def open_env(self, plan: Plan) -> ConvoyEnv:
        """Returns an environment with the settings of a plan; the open one, if it has these settings."""
        config = self.env_config(plan)
        if self._env is None or self._env.config != config:
            self.close()
            self._env = ConvoyEnv([plan.config_path], config=config)
        return self._env


def record_messages(env: ConvoyEnv, plan: Plan) -> list[Observation]:
    """Returns the observations of a planned episode without assist."""
    observation, _ = env.reset(seed=plan.seed, options=reset_options(plan))
    return [step.observation for step in drive(env, BASELINES["unassisted"], observation)]


def run_episode(env: ConvoyEnv, policy: Policy, plan: Plan) -> Row:
    """Drives a planned episode and returns its row: the plan, what was drawn, and the outcome."""
    observation, drawn = env.reset(seed=plan.seed, options=reset_options(plan))
    *_, last = drive(env, policy, observation)
    info = last.info
    return {**_describe_plan(plan), **_describe_draw(drawn), **info["outcome"], "error": info.get("error", "")}


def run_plans(plans: Sequence[Plan], worker: Worker, n_workers: int, journal_path: Path | None = None) -> list[Row]:
    """Runs episodes in worker processes and returns their rows in the order of the plans.

    A process that dies or hangs is replaced, and its episode is driven again.

    Args:
        plans: plans of the episodes.
        worker: settings and policies; it must not have an open simulation.
        n_workers: number of processes, from 1.
        journal_path: file that keeps finished rows, so that the same call can resume; None for no file.

    Raises:
        ScenarioError: if a scenario cannot be opened.
        InputError: if the policy cannot be loaded.
        MachineError: if several processes die or hang in the same episode.
        RunError: if another process drives the same episodes.
    """
    with Journal(journal_path) if journal_path else nullcontext() as journal:
        rows = journal.rows if journal else {}
        left = [index for index in range(len(plans)) if index not in rows]
        ended = run_in_workers(Worker.run, [plans[index] for index in left], worker, n_workers, EPISODE_LIMIT_S)
        with progress_bar(len(plans), "evaluating", "episode", done=len(rows)) as bar:
            for place, row in ended:
                rows[left[place]] = journal.add(left[place], row) if journal else row
                bar.update()
    return [rows[index] for index in range(len(plans))]


def _describe_plan(plan: Plan) -> Row:
    scenario = plan.config_path.parent.name
    try:
        base = ScenarioName.parse(scenario).base
    except ScenarioError:  # a scenario made by hand is its own base
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


_ACCELERATION = EGO_FIELDS.index("acceleration_mps2")


class OtherMessages:
    """A policy that hears the messages of another episode: any success it still has is not due to the messages.

    Args:
        policy: policy that acts.
        messages: observations of the other episode, step by step; after the last one the first follows.
    """

    def __init__(self, policy: Policy, messages: Sequence[Observation]):
        self._policy, self._messages = policy, cycle(messages)

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the policy's action on this car's own figures and the other episode's messages."""
        heard = next(self._messages)
        return self._policy(Observation(ego=observation["ego"], peers=heard["peers"], peer_mask=heard["peer_mask"]))


class NoisyAcceleration:
    """A policy that knows its own car's acceleration only with white noise, as a cheap accelerometer has it.

    Args:
        policy: policy that acts.
        std_mps2: standard deviation of the noise.
        seed: seed of the noise.
    """

    def __init__(self, policy: Policy, std_mps2: float, seed: int):
        self._policy, self._std_mps2, self._rng = policy, std_mps2, np.random.default_rng(seed)

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns the policy's action on the noisy acceleration."""
        ego = observation["ego"].copy()
        noise = self._rng.normal(0.0, self._std_mps2, len(ego))
        ego[:, _ACCELERATION] += (noise / EGO_SCALE[_ACCELERATION]).astype(np.float32)
        return self._policy(Observation(ego=ego, peers=observation["peers"], peer_mask=observation["peer_mask"]))
