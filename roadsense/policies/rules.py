"""Policies that need no training: null policies and rules, on the same observation as the learned one.

Each is called with a batch of observations and returns a batch of actions, or with one and returns one. An evaluation
drives all `BASELINES` beside the learned one, on the same radio. The rules' settings are the best of a search on train
scenarios (`roadsense tune-baselines`, table in `docs/reference/baselines.md`). A training first imitates the cautious
rule, which the learned policy has to beat.

Examples:
    >>> import roadsense as rs
    >>> observation = rs.ConvoyEnv(scenario_dir="scenarios/base").observation_space.sample()
    >>> rs.BASELINES["unassisted"]({name: values[None] for name, values in observation.items()}).item()
    0.0
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.assist import DEAD_ZONE, FULL_BRAKING_MPS2
from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, SPEED_MPS, Observation
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
        gap_m = _gaps_in_queue_m(away_m, self.car_length_m) - self.margin_m
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


def _gaps_in_queue_m(away_m: NDArray[np.floating], car_length_m: float) -> NDArray[np.floating]:
    """Returns each car's distance without the lengths of the cars up to and including it; 1000 m for infinity."""
    rank = 1 + (away_m[..., None, :] < away_m[..., :, None]).sum(axis=-1)
    return np.where(np.isfinite(away_m), away_m, 1e3) - rank * car_length_m


def _is_ahead(observation: Observation, max_age_s: float) -> NDArray[np.bool_]:
    peers = observation["peers"]
    is_new = peers[..., _AGE] * PEER_SCALE[_AGE] <= max_age_s + 1e-3
    return (observation["peer_mask"] > 0) & (peers[..., _FORWARD] > 0) & is_new


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
        ego, peers, is_ahead = _read(observation)
        wanted = np.maximum(self._follow_heard(peers, is_ahead), self.bridge_silence(ego, peers, is_ahead))
        at_least = ego[..., _EGO["assist_deceleration_mps2"]] - self.release_mps2
        return self.act(ego, np.maximum(wanted, at_least))

    def act(self, ego: Floats, wanted: Floats) -> NDArray[np.float32]:
        """Returns the actions for wanted braking, which grows step by step from how the car moves."""
        at_most = self.build_up_mps2 - ego[..., _EGO["acceleration_mps2"]]
        return action_for(np.minimum(wanted, at_most))[:, None]

    def _follow_heard(self, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        is_known = is_ahead & (peers[..., _PEER["age_s"]] <= self.memory_s + 1e-3)
        is_known &= -peers[..., _PEER["steady_acceleration_mps2"]] > self.confirmed_mps2
        heard = np.where(is_known, -peers[..., _PEER["acceleration_mps2"]], 0.0).max(axis=-1)
        return np.where(heard > self.threshold_mps2, heard, 0.0)

    def bridge_silence(self, ego: Floats, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
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


@dataclass(frozen=True)
class ConfirmedPredictionRule(Predicts):
    """Brakes for a heard car that certainly brakes hard and is certainly near; falls back from silent cars.

    Two rules have to agree on the same car: its braking is confirmed, as the cautious rule wants it, and the prediction
    requires hard braking of the ego. Each alone brakes for nothing several times as often.

    Attributes:
        threshold_mps2: heard braking, from 0, up to which the driver brakes alone.
        confirmed_mps2: running mean of that car's braking, from 0, up to which a hard one counts as noise.
        required_mps2: braking, from 0, which the prediction has to require of the ego.
        margin_m: margin for the noise of positions, taken off each distance.
        max_age_s: largest age of a message that is used.
        cautious: rule that falls back from silent cars, and says how fast braking may grow.
    """

    threshold_mps2: float = 3.5
    confirmed_mps2: float = 3.0
    required_mps2: float = 4.0
    margin_m: float = 8.0
    max_age_s: float = 0.5
    cautious: CautiousRule = CautiousRule()

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        ego, peers, is_ahead = _read(observation)
        wanted = np.maximum(self._answer(ego, peers, is_ahead), self.cautious.bridge_silence(ego, peers, is_ahead))
        return self.cautious.act(ego, wanted)

    def _answer(self, ego: Floats, peers: Floats, is_ahead: NDArray[np.bool_]) -> Floats:
        """Returns the braking for heard cars: as hard as they brake, or as the prediction requires if that is more."""
        is_used = is_ahead & (peers[..., _PEER["age_s"]] <= self.max_age_s + 1e-3)
        away_m = np.where(is_used, peers[..., _PEER["forward_m"]], np.inf)
        gap_m = np.maximum(_gaps_in_queue_m(away_m, self.cautious.car_length_m) - self.margin_m, 1.0)
        speed_mps = ego[..., _EGO["speed_mps"], None]
        peer_mps = np.maximum(speed_mps + peers[..., _PEER["relative_speed_mps"]], 0.0)
        heard_mps2 = -peers[..., _PEER["acceleration_mps2"]]
        required_mps2 = required_decelerations_mps2(gap_m, speed_mps, peer_mps, np.maximum(heard_mps2, 0.0))
        is_sure = is_used & (heard_mps2 > self.threshold_mps2) & (required_mps2 > self.required_mps2)
        is_sure &= -peers[..., _PEER["steady_acceleration_mps2"]] > self.confirmed_mps2
        return np.where(is_sure, np.maximum(heard_mps2, required_mps2), 0.0).max(axis=-1)


@dataclass(frozen=True)
class WithFloor(Predicts):
    """Another policy that brakes at least as hard as a rule.

    Attributes:
        policy: policy that acts.
        rule: rule whose braking is the least.
    """

    policy: Policy
    rule: Policy = ConfirmedPredictionRule()

    @guard
    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation of a batch."""
        return np.maximum(self.policy(observation), self.rule(observation))


def _read(observation: Observation) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Returns the ego's and the peers' physical values, and which peers are ahead."""
    peers = _bring_up_to_date(observation)
    is_ahead = (observation["peer_mask"] > 0) & (peers[..., _PEER["forward_m"]] > 0)
    return observation["ego"] * EGO_SCALE, peers, is_ahead


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


BASELINES: dict[str, Policy] = {
    "unassisted": Unassisted(),
    "always_brake": AlwaysBrake(),
    "gentle_brake": AlwaysBrake(0.75),
    "heard_braking_rule": HeardBrakingRule(threshold_mps2=4.0),
    "heard_drac_rule": HeardDracRule(threshold_mps2=3.0),
    "heard_prediction_rule": HeardPredictionRule(threshold_mps2=2.5, margin_m=5.0),
    "cautious_rule": CautiousRule(),
    "confirmed_rule": ConfirmedPredictionRule(),
}
"""The policies the learned one is compared with, by name."""
