"""The hazard in the simulation: finds or adds the car that causes it, and drives it through SUMO."""

from collections.abc import Sequence
from typing import Final

from roadsense.envs.hazard import Hazard
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.sumo.connection import SPEED_MODE_HARD_BRAKING, SumoConnection
from roadsense.envs.world import Leader, State

OBSTACLE_ID: Final = "roadsense_obstacle"
OBSTACLE_REACTION_S: Final = 0.2
"""Added to the braking distance to a standing vehicle as a reaction time; SUMO reacts within a step."""

CAR_LENGTH_M: Final = 5.0
CUT_IN_MIN_GAP_M: Final = 4.0
"""A car that cuts in leaves at least this gap to the ego, and 1 m to the car ahead."""


class HazardControl:
    """Carries out a hazard over one episode.

    Args:
        connection: connection to a running simulation.
        convoy_ids: ids of the convoy's cars, the ego first.
        hazard: hazard to carry out, or None.
    """

    def __init__(self, connection: SumoConnection, convoy_ids: Sequence[str], hazard: Hazard | None):
        self._connection = connection
        self._convoy_ids = convoy_ids
        self._profile = HazardProfile(hazard, connection.step_length_s)
        self._causer = ""

    @property
    def active(self) -> bool:
        """Whether the hazard is active now."""
        return self._profile.active

    def advance(self, time_s: float, states: Sequence[State | None], leader: Leader) -> str:
        """Commands the car that causes the hazard; returns the hazard's label in the step in which it begins, else "".

        Args:
            time_s: time since the episode's start.
            states: states of the convoy's cars, the ego first; None for one that has left the road.
            leader: vehicle ahead of the ego.
        """
        profile = self._profile
        if profile.over:
            return ""
        if profile.active:
            self._drive_causer()
        elif profile.is_due(time_s, leader.gap_m) and self._begins(states, leader):
            self._drive_causer()
            return profile.hazard.label if profile.hazard else ""
        return ""

    def _begins(self, states: Sequence[State | None], leader: Leader) -> bool:
        hazard = self._profile.hazard
        if hazard is None:
            return False
        if hazard.kind in ("brake", "recorded"):
            return self._begin_braking(hazard, states)
        return self._begin_standing(hazard, states) if hazard.kind == "stopped" else self._begin_cutting_in(leader)

    def _begin_braking(self, hazard: Hazard, states: Sequence[State | None]) -> bool:
        state, self._causer = states[hazard.car + 1], self._convoy_ids[hazard.car + 1]
        if state is None:
            self._profile.over = True
            return False
        begins = self._profile.begin(state[2])
        if begins:
            self._connection.set_speed_mode(self._causer, SPEED_MODE_HARD_BRAKING)
        return begins

    def _begin_standing(self, hazard: Hazard, states: Sequence[State | None]) -> bool:
        first, state = self._convoy_ids[-1], states[-1]
        if state is None:
            self._profile.over = True
            return False
        speed_mps = state[2]
        ahead_m = speed_mps**2 / (2 * hazard.deceleration_mps2) + OBSTACLE_REACTION_S * speed_mps
        free_m = self._connection.find_leader(first).gap_m
        if free_m < ahead_m + 2 * CAR_LENGTH_M or not self._profile.begin(speed_mps):
            return False
        self._causer = OBSTACLE_ID
        self._profile.started = self._connection.add_standing(OBSTACLE_ID, first, ahead_m + CAR_LENGTH_M)
        return self._profile.started

    def _begin_cutting_in(self, leader: Leader) -> bool:
        ego = self._convoy_ids[0]
        for car, ahead_m in self._connection.find_cars_beside(ego):
            fits = CUT_IN_MIN_GAP_M < ahead_m < leader.gap_m - CAR_LENGTH_M - 1.0
            if fits and car not in self._convoy_ids and self._profile.begin(self._connection.speed_mps(car) or 0.0):
                self._causer = car
                self._connection.force_into_lane_of(car, ego)
                self._connection.set_speed_mode(car, SPEED_MODE_HARD_BRAKING)
                return True
        return False

    def _drive_causer(self) -> None:
        speed_mps = self._connection.speed_mps(self._causer)
        command_mps = self._profile.advance(speed_mps)
        if command_mps is not None:
            self._connection.command_speed(self._causer, command_mps)
        elif self._causer == OBSTACLE_ID:
            self._connection.remove(OBSTACLE_ID)
        elif speed_mps is not None:
            self._connection.release(self._causer)
