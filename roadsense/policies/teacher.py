"""The rule that a training's head start imitates: what is known of good braking before anything is learned. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, Observation
from roadsense.policies.controllers import action_for

_EGO = {name: column for column, name in enumerate(EGO_FIELDS)}
_PEER = {name: column for column, name in enumerate(PEER_FIELDS)}
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CautiousRule:
    """Brakes with a heard car, holds back while its leader is not heard, helps a driver who brakes, and never jerks.

    Attributes:
        threshold_mps2: heard braking up to here is left to the driver.
        memory_s: for so long heard braking is believed to go on.
        silence_s: a leader that was not heard for this long may be doing anything.
        headway_s: the time headway it keeps to such a leader.
        holding_back_mps2: how it keeps it: about engine braking, from 0.
        driver_mps2: a driver who brakes harder than this behind such a leader is helped with all there is, from 0.
        build_up_mps2: by how much the car's braking grows in a step at the most.
        release_mps2: by how much what it asks for falls in a step.
        car_length_m: heard positions are those of front bumpers; this is taken off the distance.
    """

    threshold_mps2: float = 2.5
    memory_s: float = 1.0
    silence_s: float = 0.3
    headway_s: float = 1.6
    holding_back_mps2: float = 0.5
    driver_mps2: float = 2.0
    build_up_mps2: float = 2.5
    release_mps2: float = 1.5
    car_length_m: float = 4.5

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        ego, peers = observation["ego"] * EGO_SCALE, observation["peers"] * PEER_SCALE
        is_ahead = (observation["peer_mask"] > 0) & (peers[..., _PEER["forward_m"]] > 0)
        wanted = np.maximum(self._follow_heard(peers, is_ahead), self._bridge_silence(ego, peers, is_ahead))
        at_least = ego[..., _EGO["assist_deceleration_mps2"]] - self.release_mps2
        at_most = self.build_up_mps2 - ego[..., _EGO["acceleration_mps2"]]
        return action_for(np.minimum(np.maximum(wanted, at_least), at_most))[:, None]

    def _follow_heard(self, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        is_known = is_ahead & (peers[..., _PEER["age_s"]] <= self.memory_s + 1e-3)
        heard = np.where(is_known, -peers[..., _PEER["acceleration_mps2"]], 0.0).max(axis=-1)
        return np.where(heard > self.threshold_mps2, heard, 0.0)

    def _bridge_silence(self, ego: Floats, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        """Returns what is asked for because the leader is silent; nothing where no car ahead is remembered."""
        forward_m = np.where(is_ahead, peers[..., _PEER["forward_m"]], np.inf)
        leader = np.take_along_axis(peers, forward_m.argmin(axis=-1)[..., None, None], axis=-2)[..., 0, :]
        speed_mps, age_s = ego[..., _EGO["speed_mps"]], leader[..., _PEER["age_s"]]
        leader_mps = speed_mps + leader[..., _PEER["relative_speed_mps"]]
        gap_m = leader[..., _PEER["forward_m"]] + leader_mps * age_s - self.car_length_m
        is_silent = is_ahead.any(axis=-1) & (age_s >= self.silence_s - 1e-3)
        is_near = is_silent & (gap_m < self.headway_s * speed_mps)
        is_helped = is_silent & (ego[..., _EGO["driver_acceleration_mps2"]] < -self.driver_mps2)
        return np.where(is_helped, np.inf, np.where(is_near, self.holding_back_mps2, 0.0))
