"""The measuring of states, step by step: see `roadsense.envs.sensors` for the model, its figures and its draws."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.world import State

WALKING_MPS: Final = 1.4
"""A receiver's course over ground means nothing below this speed, a pedestrian's."""
N_ERRORS: Final = 6
"""Errors of a car at a step: x, y, the velocity's two components, a random course, and the acceleration."""


class Sensors:
    """The boxes of some cars over one episode.

    Args:
        errors: (n_steps, n_cars, `N_ERRORS`) errors of what is measured at each step.
        fix_steps: (n_steps, n_cars) step at which the newest fix known at a step was taken, at most that step.
        since_fix_s: (n_steps, n_cars) time since that fix arrived.
        roundings: (n_cars, 4) steps of a message's coordinates, speed, acceleration and heading; 0 for none.
    """

    def __init__(
        self,
        errors: NDArray[np.float64],
        fix_steps: NDArray[np.intp],
        since_fix_s: NDArray[np.float64],
        roundings: NDArray[np.float64],
    ):
        n_steps, self._n_cars = fix_steps.shape
        self._errors = errors.ravel().tolist()
        self._fix_steps = fix_steps.ravel().tolist()
        self._since_fix_s = since_fix_s.ravel().tolist()
        self._roundings = roundings.tolist()
        self._n_kept = 1 + int((np.arange(n_steps)[:, None] - fix_steps).max(initial=0))
        self._kept: list[tuple[int, State]] = [(-1, (0.0, 0.0, 0.0, 0.0, 0.0))] * (self._n_kept * self._n_cars)

    def sense(self, car: int, step: int, state: State) -> State:
        """Returns what a car's box says at a step.

        Args:
            car: number of the car; another car may take it over, as soon as its fixes are its own.
            step: number of the step from 0, each at most once and in order.
            state: the car's true state.
        """
        n_kept, place = self._n_kept, step * self._n_cars + car
        self._kept[car * n_kept + step % n_kept] = (step, state)
        fix = self._fix_steps[place]
        kept_step, then = self._kept[car * n_kept + fix % n_kept]
        if kept_step != fix:  # the car was not there yet
            fix, then = step, state
        first = (fix * self._n_cars + car) * N_ERRORS
        x_error_m, y_error_m, u_error_mps, v_error_mps, random_course_rad = self._errors[first : first + 5]
        x_m, y_m, speed_mps, _, heading_rad = then
        u_mps = speed_mps * math.cos(heading_rad) + u_error_mps
        v_mps = speed_mps * math.sin(heading_rad) + v_error_mps
        speed_mps = math.hypot(u_mps, v_mps)
        course_rad = math.atan2(v_mps, u_mps) if speed_mps >= WALKING_MPS else random_course_rad
        since_s = self._since_fix_s[place]
        position_step_m, speed_step_mps, acceleration_step_mps2, heading_step_rad = self._roundings[car]
        return (
            _round(x_m + x_error_m + u_mps * since_s, position_step_m),
            _round(y_m + y_error_m + v_mps * since_s, position_step_m),
            _round(speed_mps, speed_step_mps),
            _round(state[3] + self._errors[place * N_ERRORS + 5], acceleration_step_mps2),
            _round(course_rad, heading_step_rad),
        )

    def forget(self, car: int) -> None:
        """Forgets the fixes of a car, because another one takes its number."""
        for place in range(car * self._n_kept, (car + 1) * self._n_kept):
            self._kept[place] = (-1, self._kept[place][1])


def _round(value: float, step: float) -> float:
    return round(value / step) * step if step > 0 else value
