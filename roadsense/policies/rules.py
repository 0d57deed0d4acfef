"""Policies that need no training: null policies and baselines, on the same observation as the learned one.

Each is called with a batch of observations and returns a batch of actions, or with one and returns one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.assist import DEAD_ZONE, FULL_BRAKING_MPS2
from roadsense.envs.observation import PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
from roadsense.policies.guard import Predicts, guard

Policy = Callable[[Observation], NDArray[np.float32]]
"""Function from observations with a leading batch axis to actions of shape (n, 1), 0 to 1; see also `Predicts`."""

_FORWARD, _LEFT, _RELATIVE_SPEED, _ACCELERATION, _AGE = (
    PEER_FIELDS.index(name) for name in ("forward_m", "left_m", "relative_speed_mps", "acceleration_mps2", "age_s")
)


def action_for(deceleration_mps2: NDArray[np.floating]) -> NDArray[np.float32]:
    """Returns the actions that ask for decelerations (from 0); the inverse of `assist_deceleration_mps2`."""
    share = np.clip(deceleration_mps2 / FULL_BRAKING_MPS2, 0.0, 1.0)
    return np.where(share > 0, DEAD_ZONE + (1 - DEAD_ZONE) * share, 0.0).astype(np.float32)


@dataclass(frozen=True)
class Unassisted(Predicts):
    """Null policy: never brakes, so the driver is alone."""

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns actions of 0."""
        return np.zeros((*np.shape(observation["ego"])[:-1], 1), np.float32)


@dataclass(frozen=True)
class AlwaysBrake(Predicts):
    """Null policy: brakes all the time.

    Attributes:
        deceleration_mps2: deceleration that it asks for, from 0.
    """

    deceleration_mps2: float = 3.0

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns actions that ask for `deceleration_mps2`."""
        return np.full((*np.shape(observation["ego"])[:-1], 1), action_for(np.array(self.deceleration_mps2)))


@dataclass(frozen=True)
class HeardBrakingRule(Predicts):
    """Baseline: brakes like the hardest braking car it hears ahead, if that brakes hard.

    Attributes:
        threshold_mps2: heard braking, from 0, up to which the driver brakes alone.
        gain: factor from the heard car's braking to the ego's.
        max_age_s: largest age of a message that is used.
    """

    threshold_mps2: float = 2.5
    gain: float = 1.0
    max_age_s: float = 0.5

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        heard = np.where(_is_ahead(observation, self.max_age_s), -peers[..., _ACCELERATION], 0.0).max(axis=-1)
        wanted = np.where(heard > self.threshold_mps2, self.gain * heard, 0.0)
        return action_for(wanted)[:, None]


@dataclass(frozen=True)
class HeardDracRule(Predicts):
    """Baseline: brakes by the deceleration rate to avoid the crash with the nearest heard car ahead.

    Attributes:
        threshold_mps2: rate, from 0, below which the driver brakes alone.
        car_length_m: length of a car, taken off the distance, because heard positions are those of front bumpers.
        max_age_s: largest age of a message that is used.
    """

    threshold_mps2: float = 1.5
    car_length_m: float = 4.5
    max_age_s: float = 0.5

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        gap_m = np.maximum(peers[..., _FORWARD] - self.car_length_m, 1.0)
        approach_mps = np.maximum(-peers[..., _RELATIVE_SPEED], 0.0)
        drac = np.where(_is_ahead(observation, self.max_age_s), approach_mps**2 / (2 * gap_m), 0.0).max(axis=-1)
        return action_for(np.where(drac > self.threshold_mps2, drac, 0.0))[:, None]


@dataclass(frozen=True)
class HeardPredictionRule(Predicts):
    """Baseline: brakes as much as is required if every heard car ahead keeps its deceleration until it stands.

    Each car's position is extrapolated by its speed over the message's age. The cars drive in a queue: the lengths of
    the cars between it and the ego are taken off the distance.

    Attributes:
        threshold_mps2: deceleration, from 0, below which the driver brakes alone.
        margin_m: margin for the noise of positions, taken off each distance.
        car_length_m: length of a car, taken off once for each car up to and including this one.
        braking_mps2: deceleration, from 0, below which a car counts as keeping its speed, because of noise.
        max_age_s: largest age of a message that is used.
    """

    threshold_mps2: float = 2.5
    margin_m: float = 2.0
    car_length_m: float = 4.5
    braking_mps2: float = 1.0
    max_age_s: float = 0.5

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        ahead = _is_ahead(observation, self.max_age_s)
        if not ahead.any():
            return np.zeros((len(peers), 1), np.float32)
        speed_mps = observation["ego"][..., :1] * SPEED_MPS
        peer_mps = np.maximum(speed_mps + peers[..., _RELATIVE_SPEED], 0.0)
        away_m = np.where(ahead, peers[..., _FORWARD] + peer_mps * peers[..., _AGE], np.inf)
        rank = 1 + (away_m[..., None, :] < away_m[..., :, None]).sum(axis=-1)
        gap_m = np.where(ahead, away_m, 1e3) - rank * self.car_length_m - self.margin_m
        braking_mps2 = np.where(peers[..., _ACCELERATION] < -self.braking_mps2, -peers[..., _ACCELERATION], 0.0)
        required = required_decelerations_mps2(np.maximum(gap_m, 1.0), speed_mps, peer_mps, braking_mps2)
        needed = np.where(ahead, required, 0.0).max(axis=-1)
        return action_for(np.where(needed > self.threshold_mps2, needed, 0.0))[:, None]


def required_decelerations_mps2(
    gap_m: NDArray[np.floating],
    speed_mps: NDArray[np.floating],
    leader_mps: NDArray[np.floating],
    braking_mps2: NDArray[np.floating],
) -> NDArray[np.floating]:
    """Returns `roadsense.envs.metrics.required_deceleration_mps2` over arrays; a leader's braking is given from 0."""
    approach_mps = np.maximum(speed_mps - leader_mps, 0.0)
    drac = approach_mps**2 / (2 * gap_m)
    meets_moving = (approach_mps > 0) & (2 * gap_m * braking_mps2 <= leader_mps * approach_mps)
    stop_m = leader_mps**2 / np.maximum(braking_mps2, 1e-9)
    braked = np.where(meets_moving, braking_mps2 + drac, speed_mps**2 / (2 * gap_m + stop_m))
    return np.where(braking_mps2 > 0, braked, drac)


def _is_ahead(observation: Observation, max_age_s: float) -> NDArray[np.bool_]:
    peers = observation["peers"]
    is_new = peers[..., _AGE] * PEER_SCALE[_AGE] <= max_age_s + 1e-3
    return (observation["peer_mask"] > 0) & (peers[..., _FORWARD] > 0) & is_new
