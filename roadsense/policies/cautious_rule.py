"""The rule that a training's head start imitates: what is known of good braking before anything is learned. Pure."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
from roadsense.policies.guard import guard
from roadsense.policies.rules import action_for

_EGO = {name: column for column, name in enumerate(EGO_FIELDS)}
_PEER = {name: column for column, name in enumerate(PEER_FIELDS)}
Floats = NDArray[np.floating]


@dataclass(frozen=True)
class CautiousRule:
    """Brakes with a heard car, falls back while it is not sure what is ahead, helps a driver who brakes, never jerks.

    Attributes:
        threshold_mps2: heard braking up to here is left to the driver.
        memory_s: for so long heard braking is believed to go on.
        silence_s: a leader that was not heard for this long may be doing anything.
        doubt_s: where any car ahead was not heard for this long the radio is bad, and the leader may fall silent soon.
        headway_s: the time headway it keeps then.
        gap_m: and this much room beside it.
        falling_back_mps2: how hard it slows for that at the most: about as lifting the foot does, from 0.
        falling_back_gain: it slows so hard at a gap short by one part in this many; nearer to what it wants, less.
        driver_mps2: a driver who brakes harder than this behind a silent leader is helped with all there is, from 0.
        build_up_mps2: by how much the car's braking grows in a step at the most.
        release_mps2: by how much what it asks for falls in a step.
        car_length_m: heard positions are those of front bumpers; this is taken off the distance.
    """

    threshold_mps2: float = 3.0
    memory_s: float = 0.5
    silence_s: float = 0.3
    doubt_s: float = 0.4
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
        heard = np.where(is_known, -peers[..., _PEER["acceleration_mps2"]], 0.0).max(axis=-1)
        return np.where(heard > self.threshold_mps2, heard, 0.0)

    def _bridge_silence(self, ego: Floats, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        """Returns what is asked for because somebody is silent; nothing where no car ahead is remembered."""
        ages_s = np.where(is_ahead, peers[..., _PEER["age_s"]], 0.0)
        leader = _nearest(peers, is_ahead)
        is_silent = is_ahead.any(axis=-1) & (leader[..., _PEER["age_s"]] >= self.silence_s - 1e-3)
        is_doubtful = is_silent | (ages_s.max(axis=-1) >= self.doubt_s - 1e-3)
        falling_back_mps2 = np.where(is_doubtful, self._fall_back(ego[..., _EGO["speed_mps"]], leader), 0.0)
        is_helped = is_silent & (ego[..., _EGO["driver_acceleration_mps2"]] < -self.driver_mps2)
        return np.where(is_helped, np.inf, falling_back_mps2)

    def _fall_back(self, speed_mps: Floats, leader: Floats) -> Floats:
        """Returns how hard it slows to the headway it wants."""
        gap_m = leader[..., _PEER["forward_m"]] - self.car_length_m
        shortage = 1 - gap_m / (self.headway_s * speed_mps + self.gap_m)
        return self.falling_back_mps2 * np.clip(self.falling_back_gain * shortage, 0.0, 1.0)


def _bring_up_to_date(observation: Observation) -> Floats:
    """Returns the peers' physical values, each where it is now if it kept the speed that was heard of it."""
    peers = observation["peers"] * PEER_SCALE
    ego_mps = observation["ego"][..., _EGO["speed_mps"], None] * SPEED_MPS
    way_m = (ego_mps + peers[..., _PEER["relative_speed_mps"]]) * peers[..., _PEER["age_s"]]
    peers[..., _PEER["forward_m"]] += way_m
    return peers


def _nearest(peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
    """Returns the nearest car ahead of each observation, shape (n, fields); any where there is none."""
    forward_m = np.where(is_ahead, peers[..., _PEER["forward_m"]], np.inf)
    return np.take_along_axis(peers, forward_m.argmin(axis=-1)[..., None, None], axis=-2)[..., 0, :]
