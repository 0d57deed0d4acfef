"""Observations that are recorded while a policy drives, and those that set the scales of int8."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.observation import Observation, observation_space
from roadsense.episodes.drive import drive
from roadsense.errors import InputError
from roadsense.policies.rules import HeardBrakingRule, Policy
from roadsense.policies.trained import load_policy
from roadsense.utils.files import reading

MIN_EPISODES = 10
STEPS_PER_OBSERVATION = 5
"""Steps driven for each observation kept."""
BRAKING_SHARE = 0.5
"""Share of the kept observations, beside those with extreme values, in which a car ahead is heard to brake, if there
are enough."""
MAX_SEED = 2**31 - 1


def record_observations(
    policy_path: Path, scenario_paths: Sequence[Path], n_observations: int, seed: int, trust: bool = False
) -> Observation:
    """Drives episodes with hazards over the scenarios, and returns a selection of the ego's observations.

    Policy and heard-braking rule take turns, so that braking occurs even if the policy never brakes. It starts SUMO:
    run it in a process that has no simulation.

    Args:
        policy_path: path of the policy.
        scenario_paths: paths of `.sumocfg` files.
        n_observations: number of observations to return, from 1.
        seed: seed of all random draws; the same seed gives the same observations.
        trust: whether code in the policy's file may run.

    Raises:
        InputError: if the policy cannot be loaded.
        ScenarioError: if a scenario cannot be opened.
        SimulationError: if SUMO refuses one.
    """
    rng = np.random.default_rng(seed)
    drivers: tuple[Policy, ...] = (load_policy(policy_path, trust), HeardBrakingRule())
    paths = [scenario_paths[index] for index in rng.permutation(len(scenario_paths))]
    met: list[Observation] = []
    episode = 0
    env = ConvoyEnv(paths, config=EnvConfig(step_info=False))
    try:
        while episode < MIN_EPISODES or len(met) < STEPS_PER_OBSERVATION * n_observations:
            lap, place = divmod(episode, len(paths))
            options = {"scenario": paths[place], "hazard": True}
            observation, _ = env.reset(seed=int(rng.integers(MAX_SEED)), options=options)
            met.extend(step.observation for step in drive(env, drivers[(lap + place) % len(drivers)], observation))
            episode += 1
    finally:
        env.close()
    return _choose(_join(met), n_observations, rng)


def _choose(met: Observation, n_observations: int, rng: np.random.Generator) -> Observation:
    extremes = _find_extremes(met)[:n_observations]
    is_free, brakes = np.ones(len(met["ego"]), np.bool_), _is_braking(met)
    is_free[extremes] = False
    braking, calm = np.flatnonzero(brakes & is_free), np.flatnonzero(~brakes & is_free)
    n_wanted = n_observations - len(extremes)
    n_braking = min(len(braking), round(BRAKING_SHARE * n_wanted))
    n_braking = max(n_braking, n_wanted - len(calm))
    rows = [extremes, rng.choice(braking, n_braking, False), rng.choice(calm, n_wanted - n_braking, False)]
    return take_rows(met, np.sort(np.concatenate(rows)))


def _find_extremes(observation: Observation) -> NDArray[np.intp]:
    # Rows with the smallest and the largest value of each field: they set the scales, and parity is tested on them.
    peers = observation["peers"]
    columns = np.concatenate([observation["ego"], peers.min(axis=1), peers.max(axis=1)], axis=1)
    return np.unique(np.concatenate([columns.argmin(axis=0), columns.argmax(axis=0)]))


def _is_braking(observation: Observation) -> NDArray[np.bool_]:
    # Only heard braking counts: else a policy that always brakes would leave no room for hazards.
    return HeardBrakingRule()(observation)[:, 0] > 0


def _join(observations: Sequence[Observation]) -> Observation:
    return Observation(
        ego=np.concatenate([one["ego"] for one in observations]),
        peers=np.concatenate([one["peers"] for one in observations]),
        peer_mask=np.concatenate([one["peer_mask"] for one in observations]),
    )


def take_rows(observation: Observation, rows: NDArray[np.intp] | slice) -> Observation:
    """Returns some rows of a batch of observations."""
    return Observation(
        ego=observation["ego"][rows], peers=observation["peers"][rows], peer_mask=observation["peer_mask"][rows]
    )


MIN_ROWS = 100
MIN_HAZARD_SHARE = 0.05
"""Least share of a calibration set's observations in which a car ahead is heard to brake hard."""


MIN_ACTION = 1 / 255
"""Least share of full braking that a policy has to give on the calibration set: one step of int8."""


class CalibrationError(InputError):
    """Raised when a calibration set does not represent the observations on the road."""


def check_calibration(observations: Observation, origin: str) -> float:
    """Returns the share of observations in which a car ahead is heard to brake hard (harder than 2.5 m/s2).

    Args:
        observations: observations with a leading batch axis.
        origin: source of the observations, for the message.

    Raises:
        CalibrationError: if there are too few of these observations, or too few at all.
    """
    n_rows = len(observations["ego"])
    if n_rows < MIN_ROWS:
        raise CalibrationError(
            f"Expected at least {MIN_ROWS} observations to calibrate int8 on, got {n_rows} ({origin})."
        )
    share = float((HeardBrakingRule()(observations) > 0).mean())
    if share < MIN_HAZARD_SHARE:
        raise CalibrationError(
            f"Expected a car ahead that is heard to brake hard in at least {MIN_HAZARD_SHARE:.0%} of the observations "
            f"int8 is calibrated on, got {share:.1%} ({origin}). Int8 would be wrong where braking matters. "
            "Record hazards, with a radio that is heard, or export with --no-int8."
        )
    return share


def refuse_idle(actions: NDArray[np.float32]) -> None:
    """Refuses a policy that never brakes on its calibration set: its int8 file could give nothing but 0, ever.

    Args:
        actions: its actions there, shape (n, 1), each a share of full braking.

    Raises:
        CalibrationError: if all actions are below one step of int8.
    """
    if actions.max() < MIN_ACTION:
        raise CalibrationError(
            f"Expected a policy that brakes in some of the {len(actions)} observations int8 is calibrated on, got at "
            f"most {actions.max():.2g} of full braking: in int8 it could never brake. Train it for longer, or export "
            "with --no-int8."
        )


def read_calibration(path: Path) -> Observation:
    """Returns recorded observations from an `.npz` with the arrays `ego`, `peers` and `peer_mask`.

    Raises:
        CalibrationError: if it cannot be read, or its arrays are not float observations of the environment's shapes
            and bounds, without NaN.
    """
    what = "an .npz of observations to calibrate int8 on"
    with reading(path, what, CalibrationError), np.load(path, allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in Observation.__annotations__}
    n_rows = len(arrays["ego"]) if arrays["ego"].ndim else 0
    for name, space in observation_space().items():
        shape = (n_rows, *(space.shape or ()))
        values = arrays[name]
        if values.shape != shape or values.dtype.kind != "f":
            raise CalibrationError(
                f"{path}: expected {name} of shape {shape} and floats, got {values.shape}, {values.dtype}."
            )
        if not (np.abs(values) <= space.high).all():
            raise CalibrationError(f"{path}: expected {name} within the bounds of the observation, got others or NaN.")
    return Observation(**{name: values.astype(np.float32) for name, values in arrays.items()})  # type: ignore[typeddict-item]
