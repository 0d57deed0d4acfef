"""Records an episode while a policy drives it."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import numpy as np

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.step_info import Snapshot
from roadsense.episodes.drive import drive
from roadsense.episodes.plan import Plan, reset_options
from roadsense.episodes.trajectory import EGO_SERIES, Trajectory
from roadsense.errors import SimulationError
from roadsense.policies.rules import Policy
from roadsense.scenarios.road_shape import read_road_shape
from roadsense.scenarios.scenario import open_scenario


def record_trajectory(
    plan: Plan, policy: Policy, env_config: EnvConfig | None = None, description: str = ""
) -> Trajectory:
    """Drives a planned episode and returns its trajectory.

    It opens its own simulation: call it in a process without one.

    Args:
        plan: scenario, seed and hazard; driver and radio follow from its policy, see `roadsense.episodes.plan.Plan`.
        policy: policy that acts.
        env_config: settings of the environment.
        description: one sentence about the episode; if empty, it is made from the outcome.

    Raises:
        ScenarioError: if the scenario cannot be opened.
        SimulationError: if SUMO refuses it.
    """
    config = replace(env_config or EnvConfig(), step_info=True, watch_behind=True)
    with ConvoyEnv([plan.config_path], config=config) as env:
        return _record_plan(env, policy, plan, description)


def take_trajectory(future: "Future[Trajectory]") -> Trajectory:
    """Returns the trajectory that a worker process has recorded.

    Raises:
        SimulationError: if SUMO crashed. Other errors of the process are raised unchanged.
    """
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise SimulationError("The simulation's process died; notebook and kernel are unharmed. Try again.") from error


def _record_plan(env: ConvoyEnv, policy: Policy, plan: Plan, description: str) -> Trajectory:
    """Drives a planned episode in an open environment with `step_info` and returns its trajectory."""
    observation, drawn = env.reset(seed=plan.seed, options=reset_options(plan))
    recorder = _Recorder(env)
    info: dict[str, Any] = {}
    for _, action, _, info in drive(env, policy, observation):
        if "gap_m" in info:  # no figures if the ego has left the road or SUMO has failed
            recorder.note({**info, "action": float(action[0])})
    outcome = {**info["outcome"], **({"error": info["error"]} if "error" in info else {})}
    facts = {
        "policy": plan.policy, "seed": plan.seed, "hazard_forced": plan.hazard,
        "drawn": _as_json(drawn), "outcome": _as_json(outcome),
    }  # fmt: skip
    return recorder.finish(plan, facts, description or _describe(plan, outcome))


class _Recorder:
    def __init__(self, env: ConvoyEnv):
        self._env = env
        self._ids: dict[str, int] = {}
        self._kinds: list[tuple[str, float, float]] = []
        self._rows: list[Snapshot] = []
        self._ego: list[list[float]] = []
        self.note({})

    def note(self, info: Mapping[str, Any]) -> None:
        """Notes the road as it is now, and the step's figures; none at the start."""
        snapshot = self._env.snapshot()
        for name in snapshot.states:
            if name not in self._ids:
                self._ids[name] = len(self._ids)
                self._kinds.append(self._env.describe_vehicle(name))
        self._rows.append(snapshot)
        self._ego.append([float(info.get(name, np.nan)) for name in EGO_SERIES])

    def finish(self, plan: Plan, facts: dict[str, Any], description: str) -> Trajectory:
        scenario = open_scenario(plan.config_path)
        table = np.full((4, len(self._rows), len(self._ids)), np.nan, np.float32)
        for row, snapshot in enumerate(self._rows):
            for name, (x_m, y_m, speed_mps, _, heading_rad) in snapshot.states.items():
                table[:, row, self._ids[name]] = x_m, y_m, heading_rad, speed_mps
        ego = dict(zip(EGO_SERIES, np.array(self._ego, np.float32).T.copy(), strict=True))
        ego["speed_mps"][0] = table[3, 0, self._ids[scenario.ego_id]]
        messages = [(self._ids[car], s.step, heard) for s in self._rows for car, heard in s.messages]
        sender, sent, heard = np.array(messages, np.int32).reshape(-1, 3).T.copy()
        types, lengths, widths = zip(*self._kinds, strict=True)
        return Trajectory(
            scenario.name, description, facts, self._env.config.step_length_s, tuple(self._ids), types,
            np.array(lengths, np.float32), np.array(widths, np.float32), table[0], table[1], table[2], table[3], ego,
            sender, sent, heard, *read_road_shape(scenario.network_path),
        )  # fmt: skip


def _as_json(value: Any) -> Any:
    """Returns plain JSON values; what is not finite becomes None."""
    if isinstance(value, Mapping):
        return {name: _as_json(part) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return _as_json(asdict(value))
    if isinstance(value, tuple | list):
        return [_as_json(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _describe(plan: Plan, outcome: Mapping[str, Any]) -> str:
    if outcome["collision"]:
        partner = outcome["collision_partner"] or "another vehicle"
        who = f"is struck by {partner}" if outcome["was_struck"] else f"runs into {partner}"
        end = f"{who} after {outcome['duration_s']:.1f} s, {outcome['impact_speed_mps']:.1f} m/s faster"
    else:
        end = f"drives {outcome['duration_s']:.1f} s without a collision"
    hazard = f"hazard of kind {outcome['hazard_kind']}" if outcome["hazard"] else "no hazard"
    return f"{plan.config_path.parent.name}, seed {plan.seed}, {plan.policy}: {end}; {hazard}."
