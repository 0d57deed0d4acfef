"""Cars on roads that the network does not have: the ego hears them, and never meets them.

They drive straight ahead, oncoming, parallel or crossing, and slow down and speed up as cars do. One that comes onto
the ego's way or out of range gives its place to another, so whatever they do is nothing to the ego.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.decoy import Decoy
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.world import State

N_SPAWNS: Final = 64
N_DRAWN: Final = 8
"""Cars drawn for an episode, taken in turn, and the numbers that each is made of."""
GONE_M: Final = 250.0
WAY_LEFT_M: Final = 4.0
WAY_AHEAD_M: Final = 100.0
WAY_TURN_RAD: Final = 0.5
"""A car less than this aside, ahead of the ego and turned like it, is on the ego's way."""
PREVIEW_S: Final = 3.0
"""A decoy is heard for this long before it brakes."""


class RadioCars:
    """The cars of one episode that are only heard.

    Attributes:
        states: state of each car; None before `advance`, and for a decoy that has not come yet.

    Args:
        n_cars: number of cars beside the decoy.
        spawns: (`N_SPAWNS`, `N_DRAWN`) random numbers from 0 to 1.
        decoy: decoy that is beside the ego, on a parallel road or oncoming; None without one.
        profile: its braking over the episode.
        step_length_s: time between two steps.
    """

    def __init__(
        self,
        n_cars: int,
        spawns: NDArray[np.float64],
        decoy: Decoy | None,
        profile: HazardProfile,
        step_length_s: float,
    ):
        self._n_cars, self._decoy, self._profile = n_cars, decoy, profile
        self.states: list[State | None] = [None] * (n_cars + (decoy is not None))
        self._spawns: list[list[float]] = spawns.tolist()
        self._next = 0
        self._swing = [[0.0, 1.0, 0.0]] * n_cars
        self._step_length_s = step_length_s

    def advance(self, time_s: float, ego: State) -> list[int]:
        """Drives every car one step on; returns the numbers of those that are others than before.

        Args:
            time_s: time since the episode's start.
            ego: the ego's true state.
        """
        new = []
        for car in range(self._n_cars):
            state = self.states[car]
            if state is not None:
                share, period_s, phase = self._swing[car]
                acceleration_mps2 = share * math.sin(math.tau * time_s / period_s + phase)
                state = _move(state, max(0.0, state[2] + acceleration_mps2 * self._step_length_s), self._step_length_s)
            if state is None or _is_out_of_place(state, ego):
                state = self._spawn(car, ego)
                new.append(car)
            self.states[car] = state
        if self._decoy is not None:
            self.states[-1] = self._drive_decoy(self._decoy, time_s, ego)
        return new

    def _spawn(self, car: int, ego: State) -> State:
        kind, forward, left, side, speed, turn, swing, phase = self._spawns[self._next % N_SPAWNS]
        self._next += 1
        self._swing[car] = [2.5 * swing, 4.0 + 12.0 * phase, math.tau * phase]
        sign = 1.0 if side < 0.5 else -1.0
        turn_rad = 0.2 * (turn - 0.5)
        speed_mps = 3.0 + 27.0 * speed
        if kind < 1 / 3:  # oncoming
            return _place(ego, 220.0 * forward, 3.0 + 40.0 * left**2, math.pi + turn_rad, speed_mps)
        if kind < 2 / 3:  # parallel
            speed_mps = max(3.0, ego[2] + 10.0 * (speed - 0.5))
            return _place(ego, 160.0 * forward - 80.0, sign * (6.0 + 60.0 * left), turn_rad, speed_mps)
        return _place(
            ego, 200.0 * forward - 60.0, sign * (20.0 + 100.0 * left), -sign * math.pi / 2 + turn_rad, speed_mps
        )

    def _drive_decoy(self, decoy: Decoy, time_s: float, ego: State) -> State | None:
        """Returns the decoy's state: it goes with the ego, or comes towards it, until it brakes."""
        profile, state = self._profile, self.states[-1]
        if time_s < decoy.onset_s - PREVIEW_S:
            return None
        if not profile.started and state is not None and profile.is_due(time_s, math.inf):
            profile.begin(state[2])
        if profile.started:
            if state is None:
                return None
            speed_mps = profile.advance(state[2])
            return _move(state, state[2] if speed_mps is None else speed_mps, self._step_length_s)
        _, forward, left, side, _, _, _, _ = self._spawns[-1]
        if decoy.kind == "oncoming":
            if state is not None:
                return _move(state, state[2], self._step_length_s)
            ahead_m = 20.0 + 80.0 * forward + 2 * PREVIEW_S * ego[2]
            return _place(ego, ahead_m, 3.5 + 5.0 * left, math.pi, max(ego[2], 8.0))
        sign = 1.0 if side < 0.5 else -1.0
        if decoy.kind == "beside":
            return _place(ego, 15.0 * forward - 15.0, sign * 3.3, 0.0, ego[2])
        return _place(ego, 80.0 * forward - 20.0, sign * (25.0 + 40.0 * left), 0.0, ego[2])


def _place(ego: State, forward_m: float, left_m: float, turn_rad: float, speed_mps: float) -> State:
    x_m, y_m, _, _, heading_rad = ego
    along, across = math.cos(heading_rad), math.sin(heading_rad)
    return (
        x_m + forward_m * along - left_m * across,
        y_m + forward_m * across + left_m * along,
        speed_mps,
        0.0,
        heading_rad + turn_rad,
    )


def _move(state: State, speed_mps: float, seconds: float) -> State:
    x_m, y_m, before_mps, _, heading_rad = state
    way_m = speed_mps * seconds
    x_m += way_m * math.cos(heading_rad)
    y_m += way_m * math.sin(heading_rad)
    return (x_m, y_m, speed_mps, (speed_mps - before_mps) / seconds, heading_rad)


def _is_out_of_place(state: State, ego: State) -> bool:
    x_m, y_m = state[0] - ego[0], state[1] - ego[1]
    if x_m * x_m + y_m * y_m > GONE_M * GONE_M:
        return True
    along, across = math.cos(ego[4]), math.sin(ego[4])
    forward_m, left_m = x_m * along + y_m * across, y_m * along - x_m * across
    is_like = math.cos(state[4] - ego[4]) > math.cos(WAY_TURN_RAD)
    return is_like and 0 < forward_m < WAY_AHEAD_M and abs(left_m) < WAY_LEFT_M
