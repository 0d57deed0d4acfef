"""A baseline that predicts: every heard car ahead goes on braking as it does now."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
from roadsense.policies.rules import action_for

_FORWARD, _RELATIVE_SPEED, _ACCELERATION, _AGE = (
    PEER_FIELDS.index(name) for name in ("forward_m", "relative_speed_mps", "acceleration_mps2", "age_s")
)


@dataclass(frozen=True)
class HeardPredictionRule:
    """Baseline: brakes as much as is required if every heard car ahead keeps its deceleration until it stands.

    Of each car the place is brought up to date by its speed and the message's age. It is a queue: the cars between it
    and the ego take their length off the distance.

    Attributes:
        threshold_mps2: a smaller deceleration is left to the driver.
        margin_m: taken off each distance: room for the noise of positions.
        car_length_m: taken off once for each car up to the one that is looked at.
        braking_mps2: a car that decelerates less is taken to keep its speed, since its acceleration is noisy.
        max_age_s: an older message is not acted on.
    """

    threshold_mps2: float = 2.5
    margin_m: float = 2.0
    car_length_m: float = 4.5
    braking_mps2: float = 1.0
    max_age_s: float = 0.5

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        peers = observation["peers"] * PEER_SCALE
        ahead = (
            (observation["peer_mask"] > 0) & (peers[..., _FORWARD] > 0) & (peers[..., _AGE] <= self.max_age_s + 1e-3)
        )
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
