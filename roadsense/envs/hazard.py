"""Hazards ahead of the ego: their ranges, and the draw of one. Pure."""

import math
from dataclasses import dataclass, replace

import numpy as np

from roadsense.envs.recorded_hazard import RecordedBraking, read_recorded
from roadsense.errors import InputError
from roadsense.utils.bounds import bounded, check_bounds

KINDS = ("brake", "stopped", "cut_in", "recorded")
"""A car of the convoy brakes hard; a vehicle stands on the convoy's lane; a car of other traffic cuts in and brakes; a
car of the convoy brakes as one did in a recorded drive."""

GAP_BUCKETS_M = ((4.0, 10.0), (10.0, 16.0), (16.0, 24.0), (24.0, 40.0))
"""Ranges of the ego's gap in which a hazard may begin, all equally often."""


@dataclass(frozen=True)
class HazardRanges:
    """Ranges that a hazard is drawn from, uniformly.

    Attributes:
        probability: share of episodes with a hazard.
        stopped_share: share of hazards that are a standing vehicle.
        cut_in_share: share of hazards in which a car cuts in; without a lane or a car to do so, nothing happens. Only
            the driver can react to a car without a radio: a policy that only hears cannot know about it.
        recorded_share: share of hazards that are brakings of recorded drives, from `recorded_file`. Only a share above
            0 takes extra draws, so that episodes without it stay unchanged.
        recorded_file: file of such brakings, as `roadsense drive hazards` writes it; the environment reads it.
        recorded_strength_min: smallest factor on the speed that the recorded car lost.
        recorded_strength_max: largest factor on it.
        leader_share: share of hazards that the ego's direct leader must cause: the hardest to react to. It may cause
            others too. Only a share above 0 takes an extra draw, so that episodes without it stay unchanged.
        by_gap_share: share of hazards that wait for the ego's gap to be in one of `GAP_BUCKETS_M`. Their onset depends
            on how the ego drives, so policies no longer meet the same hazard at the same time.
        stays_share: share of hazards that do not end before the episode's end.
        onset_min_s: earliest onset after the episode's start.
        onset_max_s: latest onset after the episode's start.
        deceleration_min_mps2: gentlest braking of the car that causes the hazard, from 0.
        deceleration_max_mps2: hardest braking of that car, from 0.
        final_speed_max_share: highest speed that the car brakes to, as a share of its speed at the onset; lowest is 0.
        hold_min_s: shortest time that it keeps this speed.
        hold_max_s: longest time that it keeps this speed.
    """

    probability: float = 0.7
    stopped_share: float = 0.1
    cut_in_share: float = 0.0
    recorded_share: float = 0.0
    recorded_file: str = ""
    recorded_strength_min: float = bounded(0.8, 0.0, 5.0)
    recorded_strength_max: float = bounded(1.2, 0.0, 5.0)
    leader_share: float = 0.0
    by_gap_share: float = 0.0
    stays_share: float = 0.1
    onset_min_s: float = 5.0
    onset_max_s: float = 35.0
    deceleration_min_mps2: float = 3.0
    deceleration_max_mps2: float = 8.0
    final_speed_max_share: float = 0.3
    hold_min_s: float = 1.0
    hold_max_s: float = 6.0

    def __post_init__(self) -> None:
        shares = (
            "probability",
            "stopped_share",
            "cut_in_share",
            "recorded_share",
            "leader_share",
            "by_gap_share",
            "stays_share",
        )
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"Expected {name} from 0 to 1, got {getattr(self, name)}.")
        if not 0 < self.deceleration_min_mps2 <= self.deceleration_max_mps2:
            raise InputError(
                f"Expected deceleration_min_mps2 above 0 and at most {self.deceleration_max_mps2}, "
                f"got {self.deceleration_min_mps2}."
            )
        if self.stopped_share + self.cut_in_share + self.recorded_share > 1:
            raise InputError(
                "Expected stopped_share, cut_in_share and recorded_share to be at most 1 together, "
                f"got {self.stopped_share}, {self.cut_in_share} and {self.recorded_share}."
            )
        check_bounds(self)
        if self.recorded_strength_min > self.recorded_strength_max:
            raise InputError(
                f"Expected recorded_strength_min of at most {self.recorded_strength_max}, "
                f"got {self.recorded_strength_min}."
            )
        if self.recorded_share and not self.recorded_file:
            raise InputError("Expected recorded_file with recorded_share. Make one with `roadsense drive hazards`.")
        if self.recorded_file:
            read_recorded(self.recorded_file)


@dataclass(frozen=True)
class Hazard:
    """Something dangerous ahead of the ego.

    Attributes:
        car: index of the car that brakes, 0 for the ego's direct leader in the convoy; for kind `brake` only.
        onset_s: earliest time after the episode's start.
        deceleration_mps2: braking of that car, from 0. A standing vehicle appears so far ahead that the convoy's
            first car has to brake this hard; a car that cuts in brakes half as hard.
        final_speed_share: speed that it brakes to, as a share of its speed at the onset.
        hold_s: time that it keeps that speed before SUMO drives it again; a standing vehicle is removed after this
            time and the time that the convoy needs to stop.
        kind: one of `KINDS`.
        resolves: whether it ends before the episode does.
        gap_m: lowest and highest gap of the ego at which it begins; None for any gap.
        recorded: braking that the car repeats; for kind `recorded` only.
        strength: factor on the speed that the recorded car lost.
    """

    car: int
    onset_s: float
    deceleration_mps2: float
    final_speed_share: float = 0.0
    hold_s: float = 3.0
    kind: str = "brake"
    resolves: bool = True
    gap_m: tuple[float, float] | None = None
    recorded: RecordedBraking | None = None
    strength: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"Expected a kind of hazard of {KINDS}, got {self.kind!r}.")
        if (self.kind == "recorded") != (self.recorded is not None):
            raise InputError("Expected a braking in `recorded` for the kind recorded, and for no other.")
        if not 0 < self.strength < math.inf:
            raise InputError(f"Expected a strength above 0, got {self.strength}.")

    @property
    def label(self) -> str:
        """Its kind, and which recorded braking it is."""
        return self.kind if self.recorded is None else f"{self.kind}:{self.recorded.name}"


def draw_hazard(
    rng: np.random.Generator, ranges: HazardRanges, n_cars: int, forced: bool | Hazard | None = None
) -> Hazard | None:
    """Returns a hazard, or None in the share of episodes that have none.

    It always makes the same number of draws, so that a forced hazard changes nothing else in an episode.

    Args:
        rng: generator of the episode.
        ranges: ranges to draw from.
        n_cars: number of cars ahead of the ego in the convoy.
        forced: True or False decides whether there is a hazard; a `Hazard` is returned as it is.
    """
    chance, kind_chance, gap_chance, stay_chance = rng.uniform(size=4)
    bucket = GAP_BUCKETS_M[int(rng.integers(len(GAP_BUCKETS_M)))]
    drawn = Hazard(
        car=int(rng.integers(n_cars)),
        onset_s=rng.uniform(ranges.onset_min_s, ranges.onset_max_s),
        deceleration_mps2=rng.uniform(ranges.deceleration_min_mps2, ranges.deceleration_max_mps2),
        final_speed_share=rng.uniform(0.0, ranges.final_speed_max_share),
        hold_s=rng.uniform(ranges.hold_min_s, ranges.hold_max_s),
        kind=_choose_kind(kind_chance, ranges),
        resolves=bool(stay_chance >= ranges.stays_share),
        gap_m=bucket if gap_chance < ranges.by_gap_share else None,
    )
    if ranges.leader_share and rng.uniform() < ranges.leader_share:
        drawn = replace(drawn, car=0)
    if ranges.recorded_share and (kind_chance >= 1 - ranges.recorded_share):
        drawn = _draw_recorded(rng, ranges, drawn)
    if isinstance(forced, Hazard):
        return forced
    happens = chance < ranges.probability if forced is None else forced
    return drawn if happens else None


def _draw_recorded(rng: np.random.Generator, ranges: HazardRanges, drawn: Hazard) -> Hazard:
    known = read_recorded(ranges.recorded_file)
    strength = rng.uniform(ranges.recorded_strength_min, ranges.recorded_strength_max)
    return replace(drawn, kind="recorded", recorded=known[int(rng.integers(len(known)))], strength=max(strength, 1e-3))


def _choose_kind(chance: float, ranges: HazardRanges) -> str:
    if chance < ranges.stopped_share:
        return "stopped"
    return "cut_in" if chance < ranges.stopped_share + ranges.cut_in_share else "brake"
