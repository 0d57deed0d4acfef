"""When and how a car ahead brakes. Drawing and planning are pure; the environment carries the speeds to SUMO."""

from dataclasses import dataclass

import numpy as np

from roadsense.errors import InputError

MIN_ONSET_SPEED_MPS = 5.0


@dataclass(frozen=True)
class HazardRanges:
    """What a hazard is drawn from, uniformly.

    Attributes:
        probability: share of episodes with a hazard.
        onset_min_s: earliest onset after the episode's start.
        onset_max_s: latest.
        deceleration_min_mps2: gentlest braking of the car that causes it, from 0.
        deceleration_max_mps2: hardest.
        final_speed_max_share: the car brakes to a speed between 0 and this share of its speed at the onset.
        hold_min_s: shortest time it stays at that speed.
        hold_max_s: longest.
    """

    probability: float = 0.7
    onset_min_s: float = 5.0
    onset_max_s: float = 35.0
    deceleration_min_mps2: float = 4.0
    deceleration_max_mps2: float = 8.0
    final_speed_max_share: float = 0.3
    hold_min_s: float = 1.0
    hold_max_s: float = 6.0

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise InputError(f"Expected a hazard probability from 0 to 1, got {self.probability}.")


@dataclass(frozen=True)
class Hazard:
    """One car of the convoy brakes hard.

    Attributes:
        car: which car ahead of the ego, 0 for its direct leader in the convoy.
        onset_s: time after the episode's start.
        deceleration_mps2: from 0.
        final_speed_share: the speed it brakes to, as a share of its speed at the onset.
        hold_s: how long it keeps that speed before SUMO drives it on.
    """

    car: int
    onset_s: float
    deceleration_mps2: float
    final_speed_share: float = 0.0
    hold_s: float = 3.0


def draw_hazard(
    rng: np.random.Generator, ranges: HazardRanges, n_cars: int, forced: bool | Hazard | None = None
) -> Hazard | None:
    """Returns a hazard, or None in the share of episodes that have none.

    Always takes the same number of draws, so that forcing a hazard changes nothing else of an episode.

    Args:
        rng: generator of the episode.
        ranges: what to draw from.
        n_cars: cars ahead of the ego in the convoy.
        forced: True or False decides whether there is one, a hazard is returned as it is.
    """
    chance, car = rng.uniform(), int(rng.integers(n_cars))
    drawn = Hazard(
        car=car,
        onset_s=rng.uniform(ranges.onset_min_s, ranges.onset_max_s),
        deceleration_mps2=rng.uniform(ranges.deceleration_min_mps2, ranges.deceleration_max_mps2),
        final_speed_share=rng.uniform(0.0, ranges.final_speed_max_share),
        hold_s=rng.uniform(ranges.hold_min_s, ranges.hold_max_s),
    )
    if isinstance(forced, Hazard):
        return forced
    happens = chance < ranges.probability if forced is None else forced
    return drawn if happens else None


class HazardCourse:
    """A hazard over one episode: waiting, braking, holding, over.

    Args:
        hazard: what is to happen, or None.
        step_length_s: time between two calls of `advance`.
    """

    def __init__(self, hazard: Hazard | None, step_length_s: float):
        self.hazard = hazard
        self.started = False
        self.over = hazard is None
        self._step_length_s = step_length_s
        self._hold_steps = round(hazard.hold_s / step_length_s) if hazard else 0
        self._final_mps = 0.0

    @property
    def active(self) -> bool:
        """Whether the car is braking or holding its low speed now."""
        return self.started and not self.over

    def advance(self, time_s: float, speed_mps: float | None) -> float | None:
        """Returns the speed the braking car is to have after the next step; None if it drives as it likes.

        A car slower than `MIN_ONSET_SPEED_MPS` at the onset (waiting at a light, say) brakes as soon as it is faster.

        Args:
            time_s: time since the episode's start.
            speed_mps: the car's speed now; None if it has left the road, and the hazard with it.
        """
        if speed_mps is None:
            self.over = True
            return None
        if self.over or self.hazard is None or not (self.started or self._begins(time_s, speed_mps)):
            return None
        next_mps = max(self._final_mps, speed_mps - self.hazard.deceleration_mps2 * self._step_length_s)
        if next_mps == self._final_mps:
            self._hold_steps -= 1
            self.over = self._hold_steps < 0
        return None if self.over else next_mps

    def _begins(self, time_s: float, speed_mps: float) -> bool:
        if self.hazard is None or time_s < self.hazard.onset_s or speed_mps < MIN_ONSET_SPEED_MPS:
            return False
        self.started = True
        self._final_mps = speed_mps * self.hazard.final_speed_share
        return True
