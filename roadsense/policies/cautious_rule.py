"""The rule that a training's head start imitates: known good braking, before any learning. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
from roadsense.policies.guard import Predicts, guard
from roadsense.policies.rules import action_for

_EGO = {name: column for column, name in enumerate(EGO_FIELDS)}
_PEER = {name: column for column, name in enumerate(PEER_FIELDS)}
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CautiousRule(Predicts):
    """Brakes with a heard car, falls back while messages are missing, helps a driver who brakes, never jerks.

    Attributes:
        threshold_mps2: heard braking, from 0, up to which the driver brakes alone.
        confirmed_mps2: running mean of that car's braking, from 0, up to which a hard one counts as an accelerometer's
            noise. Braking by 5 m/s2 passes it with the fourth message, braking by 8 m/s2 with the second.
        memory_s: time for which heard braking is assumed to continue.
        silence_s: time without a message after which the leader counts as silent.
        headway_s: time headway that it keeps if the leader is silent.
        gap_m: gap that it keeps in addition to that headway.
        falling_back_mps2: hardest braking to reach that gap, from 0: about as hard as lifting the foot.
        falling_back_gain: factor of the missing share of the gap; it brakes hardest where the product reaches 1.
        driver_mps2: driver's braking, from 0, above which it brakes fully behind a silent leader.
        build_up_mps2: largest growth of the car's braking in a step.
        release_mps2: decrease of the requested braking in a step.
        car_length_m: length of a car, taken off the distance, because heard positions are those of front bumpers.
    """

    threshold_mps2: float = 4.5
    confirmed_mps2: float = 3.0
    memory_s: float = 0.5
    silence_s: float = 0.3
    headway_s: float = 2.0
    gap_m: float = 2.0
    falling_back_mps2: float = 0.45
    falling_back_gain: float = 4.0
    driver_mps2: float = 4.0
    build_up_mps2: float = 2.5
    release_mps2: float = 1.5
    car_length_m: float = 4.5

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        ego, peers = observation["ego"] * EGO_SCALE, _bring_up_to_date(observation)
        is_ahead = (observation["peer_mask"] > 0) & (peers[..., _PEER["forward_m"]] > 0)
        wanted = np.maximum(self._follow_heard(peers, is_ahead), self._bridge_silence(ego, peers, is_ahead))
        at_least = ego[..., _EGO["assist_deceleration_mps2"]] - self.release_mps2
        at_most = self.build_up_mps2 - ego[..., _EGO["acceleration_mps2"]]
        return action_for(np.minimum(np.maximum(wanted, at_least), at_most))[:, None]

    def _follow_heard(self, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        is_known = is_ahead & (peers[..., _PEER["age_s"]] <= self.memory_s + 1e-3)
        is_known &= -peers[..., _PEER["steady_acceleration_mps2"]] > self.confirmed_mps2
        heard = np.where(is_known, -peers[..., _PEER["acceleration_mps2"]], 0.0).max(axis=-1)
        return np.where(heard > self.threshold_mps2, heard, 0.0)

    def _bridge_silence(self, ego: Floats, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        """Returns the braking for silent cars; 0 if no car ahead is known."""
        leader = _nearest(peers, is_ahead)
        is_silent = is_ahead.any(axis=-1) & (leader[..., _PEER["age_s"]] >= self.silence_s - 1e-3)
        falling_back_mps2 = np.where(is_silent, self._fall_back(ego[..., _EGO["speed_mps"]], leader), 0.0)
        is_helped = is_silent & (ego[..., _EGO["driver_acceleration_mps2"]] < -self.driver_mps2)
        return np.where(is_helped, np.inf, falling_back_mps2)

    def _fall_back(self, speed_mps: Floats, leader: Floats) -> Floats:
        """Returns the braking to reach the wanted headway."""
        gap_m = leader[..., _PEER["forward_m"]] - self.car_length_m
        shortage = 1 - gap_m / (self.headway_s * speed_mps + self.gap_m)
        return self.falling_back_mps2 * np.clip(self.falling_back_gain * shortage, 0.0, 1.0)


def _bring_up_to_date(observation: Observation) -> Floats:
    """Returns the peers' physical values, each at its present position if it kept the heard speed."""
    peers = observation["peers"] * PEER_SCALE
    ego_mps = observation["ego"][..., _EGO["speed_mps"], None] * SPEED_MPS
    way_m = (ego_mps + peers[..., _PEER["relative_speed_mps"]]) * peers[..., _PEER["age_s"]]
    peers[..., _PEER["forward_m"]] += way_m
    return peers


def _nearest(peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
    """Returns the nearest car ahead in each observation, shape (n, fields); any car if none is ahead."""
    forward_m = np.where(is_ahead, peers[..., _PEER["forward_m"]], np.inf)
    return np.take_along_axis(peers, forward_m.argmin(axis=-1)[..., None, None], axis=-2)[..., 0, :]
