"""The true motion of a convoy in the environment, while a policy or the driver alone drives the ego."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, Observation
from roadsense.episodes.drive import drive
from roadsense.policies.rules import Policy
from roadsense.scenarios.scenario import open_scenario

Floats = NDArray[np.float64]
_DRIVER = EGO_FIELDS.index("driver_acceleration_mps2")


@dataclass(frozen=True)
class ConvoyRecord:
    """The true motion of a convoy, step by step.

    Attributes:
        scenario: name of the scenario.
        cars: names of the cars, the ego first.
        step_length_s: time between two steps.
        states: (steps, cars, 5) x and y in m, speed in m/s, acceleration in m/s2, heading in rad; NaN off the road.
        driver_mps2: (steps,) acceleration that the ego's driver asks for.
        observations: what the environment let the policy see in each step, batches of one.
        actions: (steps,) the policy's actions.
        network_path: the road.
    """

    scenario: str
    cars: tuple[str, ...]
    step_length_s: float
    states: Floats
    driver_mps2: Floats
    observations: tuple[Observation, ...]
    actions: Floats
    network_path: Path

    @property
    def time_s(self) -> Floats:
        """Time of each step."""
        return np.arange(len(self.states), dtype=np.float64) * self.step_length_s


def record_convoy(
    config_path: str | Path,
    policy: Policy,
    seed: int,
    config: EnvConfig,
    options: dict[str, Any] | None = None,
    n_cars: int = 100,
) -> ConvoyRecord:
    """Drives an episode and returns what its convoy did.

    It opens its own simulation: call it in a process without one.

    Args:
        config_path: path of the scenario's `.sumocfg`.
        policy: policy that drives the ego.
        seed: seed of the episode.
        config: settings of the environment.
        options: options of the reset, besides the scenario.
        n_cars: most cars that are recorded, from the ego forward.
    """
    scenario = open_scenario(config_path)
    cars = scenario.convoy_ids[:n_cars]
    seen, actions = [], []
    with ConvoyEnv([config_path], config=config) as env:
        observation, _ = env.reset(seed=seed, options=options)
        states = [_states(env, cars)]
        for step in drive(env, policy, observation):
            seen.append(step.observation)
            actions.append(float(step.action[0]))
            if "gap_m" in step.info:  # else the ego has left the road, or SUMO has failed
                states.append(_states(env, cars))
    driver = np.array([float(one["ego"][0, _DRIVER]) for one in seen]) * EGO_SCALE[_DRIVER]
    return ConvoyRecord(
        scenario.name, cars, config.step_length_s, np.array(states[: len(seen)]), driver, tuple(seen),
        np.array(actions), scenario.network_path,
    )  # fmt: skip


def _states(env: ConvoyEnv, cars: Sequence[str]) -> list[tuple[float, ...]]:
    found = env.snapshot().states
    return [found.get(car, (np.nan,) * 5) for car in cars]
