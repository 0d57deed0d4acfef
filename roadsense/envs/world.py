"""The world as the environment reads it in a step: states of vehicles, the road ahead, the cars ahead and behind."""

import math
from typing import Final, NamedTuple

State = tuple[float, float, float, float, float]
"""x and y in m, speed in m/s, acceleration in m/s2, heading in rad (0 is east, counter-clockwise)."""


class RoadAhead(NamedTuple):
    """Limits and stop lines that a driver has to obey.

    Attributes:
        limit_mps: speed limit at the vehicle.
        stop_m: distance to the next stop line that is closed (red, or others have the right of way), or infinity.
        yellow_m: distance to the next stop line with a yellow light, or infinity.
        lower_limit_mps: lowest speed limit in sight, at most `limit_mps`.
        lower_limit_m: distance to the start of that limit, or infinity.
    """

    limit_mps: float
    stop_m: float = math.inf
    yellow_m: float = math.inf
    lower_limit_mps: float = math.inf
    lower_limit_m: float = math.inf


class Leader(NamedTuple):
    """The vehicle ahead; `NO_LEADER` if there is none. `gap_m` is bumper to bumper along the lane."""

    gap_m: float = math.inf
    speed_mps: float = math.inf
    acceleration_mps2: float = 0.0


NO_LEADER: Final = Leader()


class Follower(NamedTuple):
    """The vehicle behind; `NO_FOLLOWER` if there is none. `gap_m` is bumper to bumper along the lane."""

    gap_m: float = math.inf
    speed_mps: float = 0.0


NO_FOLLOWER: Final = Follower()


class Collision(NamedTuple):
    """A collision of the ego.

    Attributes:
        partner: SUMO's id of the other vehicle; empty if SUMO recorded none.
        was_struck: whether the other vehicle ran into the ego; else the ego ran into it.
        impact_speed_mps: difference of the two speeds, from 0.
    """

    partner: str
    was_struck: bool
    impact_speed_mps: float
