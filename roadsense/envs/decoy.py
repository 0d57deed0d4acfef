"""Decoys: cars that brake as hard as a hazard does, and must not be answered. Their ranges, and the draw of one. Pure.

A decoy is behind the ego, beside it, on a parallel road or in the oncoming traffic. It is drawn as hazards are, forced
by the option `decoy` of a reset, and counted apart: see `roadsense.envs.outcome.Outcome`.
"""

from dataclasses import dataclass

import numpy as np

from roadsense.envs.hazard import HazardRanges
from roadsense.errors import InputError

KINDS = ("behind", "beside", "parallel", "oncoming")
"""The car behind the ego; one alongside it in the next lane; one on a road beside; one that comes towards it."""


@dataclass(frozen=True)
class Decoy:
    """A car that brakes hard where that is nothing to the ego.

    Attributes:
        kind: one of `KINDS`.
        onset_s: time after the episode's start.
        deceleration_mps2: its braking, from 0.
        final_speed_share: speed that it brakes to, as a share of its speed at the onset.
        hold_s: time that it keeps that speed.

    Raises:
        InputError: for another kind.
    """

    kind: str
    onset_s: float
    deceleration_mps2: float
    final_speed_share: float = 0.0
    hold_s: float = 3.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"Expected a kind of decoy of {KINDS}, got {self.kind!r}.")


def draw_decoy(
    rng: np.random.Generator, ranges: HazardRanges, probability: float, forced: bool | Decoy | None = None
) -> Decoy | None:
    """Returns a decoy that brakes as hazards of these ranges do, or None; always with the same number of draws.

    Args:
        rng: generator of the episode's surroundings.
        ranges: ranges of hazards.
        probability: share of episodes with a decoy.
        forced: True or False decides whether there is one; a `Decoy` is returned as it is.
    """
    chance = rng.uniform()
    drawn = Decoy(
        kind=KINDS[int(rng.integers(len(KINDS)))],
        onset_s=rng.uniform(ranges.onset_min_s, ranges.onset_max_s),
        deceleration_mps2=rng.uniform(ranges.deceleration_min_mps2, ranges.deceleration_max_mps2),
        final_speed_share=rng.uniform(0.0, ranges.final_speed_max_share),
        hold_s=rng.uniform(ranges.hold_min_s, ranges.hold_max_s),
    )
    if isinstance(forced, Decoy):
        return forced
    happens = chance < probability if forced is None else forced
    return drawn if happens else None
