"""A hazard over one episode: when it begins, the speed of the car that causes it, when it ends. Pure."""

import math
from typing import Final

from roadsense.envs.hazard import Hazard
from roadsense.envs.recorded_hazard import RecordedBraking

MIN_ONSET_SPEED_MPS: Final = 5.0
"""A slower car, for example one that waits at a light, is no hazard; it becomes one as soon as it is faster."""

GAP_PATIENCE_S: Final = 10.0
"""A hazard that waits for a gap begins at any gap this long after its onset."""

CUT_IN_SHARE: Final = 0.5
"""A car that cuts in brakes with this share of the hazard's deceleration."""

STOPPING_S: Final = 10.0
"""Time for a convoy to stop behind a standing vehicle."""


class HazardProfile:
    """A hazard over one episode: waiting, braking, holding, over.

    Attributes:
        hazard: hazard of the episode, or None.
        started: whether it has begun.
        over: whether it has ended, or will never begin.

    Args:
        hazard: hazard of the episode, or None.
        step_length_s: time between two calls of `advance`.
    """

    def __init__(self, hazard: Hazard | None, step_length_s: float):
        self.hazard = hazard
        self.started = False
        self.over = hazard is None
        self._step_length_s = step_length_s
        self._final_mps = self._slowing_mps = 0.0
        self._hold_steps = 0.0
        self._onset_mps = self._since_s = 0.0

    @property
    def active(self) -> bool:
        """Whether the car is braking or holding its low speed now."""
        return self.started and not self.over

    def is_due(self, time_s: float, gap_m: float) -> bool:
        """Returns whether the hazard may begin now.

        Args:
            time_s: time since the episode's start.
            gap_m: the ego's gap to its leader.
        """
        hazard = self.hazard
        if hazard is None or self.started or self.over or time_s < hazard.onset_s:
            return False
        if hazard.gap_m is None or time_s >= hazard.onset_s + GAP_PATIENCE_S:
            return True
        return hazard.gap_m[0] <= gap_m <= hazard.gap_m[1]

    def begin(self, speed_mps: float) -> bool:
        """Begins the hazard if the car is fast enough for one; returns whether it has begun."""
        hazard = self.hazard
        if hazard is None or speed_mps < MIN_ONSET_SPEED_MPS:
            return False
        self.started = True
        self._onset_mps = speed_mps
        stands = hazard.kind == "stopped"
        self._final_mps = 0.0 if stands else speed_mps * hazard.final_speed_share
        share = CUT_IN_SHARE if hazard.kind == "cut_in" else 1.0
        self._slowing_mps = share * hazard.deceleration_mps2 * self._step_length_s
        hold_s = hazard.hold_s + STOPPING_S * stands
        self._hold_steps = float(round(hold_s / self._step_length_s)) if hazard.resolves else math.inf
        return True

    def advance(self, speed_mps: float | None) -> float | None:
        """Returns the car's speed after the next step; None once SUMO drives it again.

        Args:
            speed_mps: the car's speed now; None if it has left the road, which ends the hazard.
        """
        if speed_mps is None:
            self.over = True
        if speed_mps is None or not self.active:
            return None
        if self.hazard is not None and self.hazard.recorded is not None:
            return self._repeat(self.hazard, self.hazard.recorded)
        next_mps = max(self._final_mps, speed_mps - self._slowing_mps)
        if next_mps == self._final_mps:
            self._hold_steps -= 1
            self.over = self._hold_steps < 0
        return None if self.over else next_mps

    def _repeat(self, hazard: Hazard, braking: RecordedBraking) -> float | None:
        """Returns the speed of a car that repeats a recorded braking; if it does not resolve, it keeps its last one."""
        self._since_s += self._step_length_s
        self.over = hazard.resolves and self._since_s > braking.lasts_s + hazard.hold_s
        lost_mps = hazard.strength * braking.lost_mps(self._since_s)
        return None if self.over else max(0.0, self._onset_mps - lost_mps)
