"""Policies that need no training: null policies and baselines, on the same observation as the learned one.

Each is called with a batch of observations and returns a batch of actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.assist import DEAD_ZONE, FULL_BRAKING_MPS2
from roadsense.envs.observation import PEER_FIELDS, PEER_SCALE, Observation

Policy = Callable[[Observation], NDArray[np.float32]]
"""Takes observations with a leading batch axis, returns actions of shape (n, 1) from 0 to 1."""

_FORWARD, _LEFT, _RELATIVE_SPEED, _ACCELERATION, _AGE = (
    PEER_FIELDS.index(name) for name in ("forward_m", "left_m", "relative_speed_mps", "acceleration_mps2", "age_s")
)


def action_for(deceleration_mps2: NDArray[np.floating]) -> NDArray[np.float32]:
    """Returns the actions that ask for decelerations (from 0); the inverse of `assist_deceleration_mps2`."""
    share = np.clip(deceleration_mps2 / FULL_BRAKING_MPS2, 0.0, 1.0)
    return np.where(share > 0, DEAD_ZONE + (1 - DEAD_ZONE) * share, 0.0).astype(np.float32)


@dataclass(frozen=True)
class Unassisted:
    """Null policy: never brakes, so the driver is alone."""

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns actions of 0."""
        return np.zeros((len(observation["ego"]), 1), np.float32)


@dataclass(frozen=True)
class AlwaysBrake:
    """Null policy: brakes all the time.

    Attributes:
        deceleration_mps2: how hard, from 0.
    """

    deceleration_mps2: float = 3.0

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns actions that ask for `deceleration_mps2`."""
        return np.full((len(observation["ego"]), 1), action_for(np.array(self.deceleration_mps2)))


@dataclass(frozen=True)
class HeardBrakingRule:
    """Baseline: brakes like the hardest braking car it hears ahead, if that brakes hard.

    Attributes:
        threshold_mps2: heard braking up to here is left to the driver.
        gain: how much harder than the heard car the ego brakes.
        max_age_s: an older message is not acted on.
    """

    threshold_mps2: float = 2.5
    gain: float = 1.0
    max_age_s: float = 0.5

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        heard = np.where(_is_ahead(observation, self.max_age_s), -peers[..., _ACCELERATION], 0.0).max(axis=-1)
        wanted = np.where(heard > self.threshold_mps2, self.gain * heard, 0.0)
        return action_for(wanted)[:, None]


@dataclass(frozen=True)
class HeardDracRule:
    """Baseline: brakes as the deceleration rate to avoid the crash with the nearest heard car ahead asks.

    Attributes:
        threshold_mps2: a smaller rate is left to the driver.
        car_length_m: heard positions are those of front bumpers; this is taken off the distance.
        max_age_s: an older message is not acted on.
    """

    threshold_mps2: float = 1.5
    car_length_m: float = 4.5
    max_age_s: float = 0.5

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        gap_m = np.maximum(peers[..., _FORWARD] - self.car_length_m, 1.0)
        approach_mps = np.maximum(-peers[..., _RELATIVE_SPEED], 0.0)
        drac = np.where(_is_ahead(observation, self.max_age_s), approach_mps**2 / (2 * gap_m), 0.0).max(axis=-1)
        return action_for(np.where(drac > self.threshold_mps2, drac, 0.0))[:, None]


def _is_ahead(observation: Observation, max_age_s: float) -> NDArray[np.bool_]:
    peers = observation["peers"]
    is_new = peers[..., _AGE] * PEER_SCALE[_AGE] <= max_age_s + 1e-3
    return (observation["peer_mask"] > 0) & (peers[..., _FORWARD] > 0) & is_new
