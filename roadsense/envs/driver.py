"""The human driver: car following with a reaction time. Pure: no simulator in here.

The model is the Intelligent Driver Model (Treiber, Hennecke and Helbing, "Congested traffic states in empirical
observations and microscopic simulations", 2000) acting on the leader of some time ago. As in the Human Driver Model
(Treiber, Kesting and Helbing, "Delays, inaccuracies and anticipation in microscopic traffic models", 2006) the driver
extrapolates what was seen to now, and misjudges the gap by a slowly changing factor. So the driver follows ordinary
traffic smoothly, but reacts too late to a leader that brakes hard: that is what the brake assist is for.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.driver_profile import DriverProfile
from roadsense.envs.world import Leader, RoadAhead

COMFORTABLE_DECELERATION_MPS2: Final = 2.0
MAX_ACCELERATION_MPS2: Final = 1.8
ACCELERATION_EXPONENT: Final = 4.0
_IDM_BRAKING_MPS2: Final = 2 * math.sqrt(MAX_ACCELERATION_MPS2 * COMFORTABLE_DECELERATION_MPS2)
LOOK_S: Final = 0.5
"""The driver judges a change of the leader's speed over this time, and cannot tell how hard harsh braking is."""
STOP_LINE_MARGIN_M: Final = 1.0
QUEUE_PLACE_M: Final = 7.0
"""Length of road that a waiting car takes before a stop line."""
YELLOW_STOP_DECELERATION_MPS2: Final = 3.0
"""A driver stops at yellow if this deceleration is enough (design value of most guidelines: 3.0 to 3.4 m/s2)."""


def follow_mps2(driver: DriverProfile, speed_mps: float, gap_m: float, leader_speed_mps: float) -> float:
    """Returns the IDM's acceleration behind a leader, m/s2: towards the desired time headway.

    Cruising and following are combined by the smaller of the two, as in the improved IDM (Treiber and Kesting,
    "Traffic flow dynamics", 2013), so that the headway kept in flow is the desired one.
    """
    approach_mps = speed_mps - leader_speed_mps
    desired_m = driver.minimum_gap_m + max(0.0, speed_mps * (driver.time_headway_s + approach_mps / _IDM_BRAKING_MPS2))
    return MAX_ACCELERATION_MPS2 * (1 - math.pow(desired_m / max(gap_m, 0.1), 2.0))


def cruise_mps2(speed_mps: float, desired_speed_mps: float) -> float:
    """Returns the IDM's free-road term, m/s2: towards the desired speed, never braking harder than comfortable."""
    share = speed_mps / max(desired_speed_mps, 0.1)
    free = MAX_ACCELERATION_MPS2 * (1 - math.pow(share, ACCELERATION_EXPONENT))
    return max(free, -COMFORTABLE_DECELERATION_MPS2)


def slow_down_mps2(speed_mps: float, target_mps: float, distance_m: float) -> float:
    """Returns the braking that meets a lower limit where it begins, once comfortable braking is due; else infinity."""
    need = (math.pow(speed_mps, 2.0) - math.pow(target_mps, 2.0)) / (2 * max(distance_m, 0.1))
    return -need if need > 0.7 * COMFORTABLE_DECELERATION_MPS2 else math.inf


def stop_line_mps2(driver: DriverProfile, speed_mps: float, distance_m: float) -> float:
    """Returns the acceleration towards a closed stop line, treated as a standing leader; infinity if it is too late.

    Args:
        driver: profile of the driver.
        speed_mps: own speed.
        distance_m: distance to the stop line; infinity if there is none.
    """
    if distance_m == math.inf:
        return math.inf
    if math.pow(speed_mps, 2.0) / (2 * max(distance_m, 0.1)) > driver.max_deceleration_mps2:
        return math.inf
    return follow_mps2(driver, speed_mps, distance_m + driver.minimum_gap_m - STOP_LINE_MARGIN_M, 0.0)


class Driver:
    """A driver over one episode: stores what was seen for the reaction time.

    Args:
        profile: profile of the driver.
        step_length_s: time between two calls of `accelerate`.
        gap_errors: factor by which the gap is misjudged at each step; see `draw_gap_errors`.
    """

    def __init__(self, profile: DriverProfile, step_length_s: float, gap_errors: NDArray[np.float64]):
        self.profile = profile
        self._step_length_s = step_length_s
        delay_steps = round(profile.reaction_time_s / step_length_s)
        self._look_steps = max(1, round(LOOK_S / step_length_s))
        self._look_s = self._look_steps * step_length_s
        self._delay_steps, self._delay_s = delay_steps, delay_steps * step_length_s
        # Entry `step` of these is as old as the driver's memory reaches: what the driver saw, and the ego's way.
        self._gaps_m: list[float] = []
        self._speeds_mps: list[float] = []
        self._own_ways_m: list[float] = []
        self._gap_errors: list[float] = gap_errors.tolist()
        self._step = 0

    def accelerate(self, speed_mps: float, leader: Leader, limits: tuple[float, float]) -> float:
        """Returns the acceleration that the driver asks for by the pedals, m/s2.

        Args:
            speed_mps: own speed, known without delay.
            leader: true leader now; the driver acts on it after the reaction time.
            limits: speed limit in m/s, and acceleration in m/s2 that stop lines and lower limits ahead allow.
        """
        if not self._step:  # as if nothing had changed before the start
            self._gaps_m = [leader.gap_m] * (self._delay_steps + self._look_steps)
            self._speeds_mps = [leader.speed_mps] * (self._delay_steps + self._look_steps)
            way_m, n_ways = speed_mps * self._step_length_s, self._delay_steps + 1
            self._own_ways_m = [(step - n_ways) * way_m for step in range(n_ways)]
        self._gaps_m.append(leader.gap_m)
        self._speeds_mps.append(leader.speed_mps)
        self._own_ways_m.append(self._own_ways_m[-1] + speed_mps * self._step_length_s)
        limit_mps, allowed_mps2 = limits
        desired = cruise_mps2(speed_mps, limit_mps * self.profile.speed_factor)
        gap_m, leader_mps = self._expect_leader()
        if gap_m < math.inf:
            desired = min(desired, follow_mps2(self.profile, speed_mps, gap_m, leader_mps))
        self._step += 1
        return max(min(desired, allowed_mps2, MAX_ACCELERATION_MPS2), -self.profile.max_deceleration_mps2)

    def _expect_leader(self) -> tuple[float, float]:
        """Returns the leader's gap and speed that the driver expects now, knowing the ego's own way since then."""
        step = self._step
        before_gap_m, before_mps = self._gaps_m[step], self._speeds_mps[step]
        seen_gap_m, seen_mps = self._gaps_m[step + self._look_steps], self._speeds_mps[step + self._look_steps]
        if seen_gap_m == math.inf:
            return seen_gap_m, seen_mps
        slowing_mps2 = (before_mps - seen_mps) / self._look_s if before_gap_m < math.inf else 0.0
        slowing_mps2 = min(max(slowing_mps2, 0.0), COMFORTABLE_DECELERATION_MPS2)
        leader_mps = max(0.0, seen_mps - slowing_mps2 * self._delay_s)
        leader_way_m = self._delay_s * (seen_mps + leader_mps) / 2
        own_way_m = self._own_ways_m[-1] - self._own_ways_m[step + 1]
        gap_m = seen_gap_m * self._gap_errors[min(step, len(self._gap_errors) - 1)]
        return gap_m + leader_way_m - own_way_m, leader_mps


def road_mps2(driver: DriverProfile, speed_mps: float, road: RoadAhead, gap_m: float = math.inf) -> float:
    """Returns the most acceleration that the road ahead allows, m/s2; infinity if it sets no limit.

    Args:
        driver: profile of the driver.
        speed_mps: own speed.
        road: limits and stop lines ahead.
        gap_m: gap to the car ahead; one before a closed stop line will stop there, and the ego behind it.
    """
    stop_m, yellow_m = road.stop_m, road.yellow_m
    if yellow_m < stop_m and math.pow(speed_mps, 2.0) / (2 * max(yellow_m, 0.1)) < YELLOW_STOP_DECELERATION_MPS2:
        stop_m = yellow_m
    allowed = stop_line_mps2(driver, speed_mps, stop_m)
    if gap_m < stop_m < math.inf:
        allowed = min(allowed, stop_line_mps2(driver, speed_mps, stop_m - QUEUE_PLACE_M))
    if road.lower_limit_m < math.inf:
        allowed = min(
            allowed, slow_down_mps2(speed_mps, road.lower_limit_mps * driver.speed_factor, road.lower_limit_m)
        )
    return allowed
