"""What of a base scenario can be varied. Without files or SUMO."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.utils.add_in_order import add_in_order

FOLLOWING = ("tau", "accel", "decel", "min_gap")
LEVELS = ("density", "speed_mean", "sigma", *FOLLOWING, "convoy_shift_s", "heavy_share", "friction", "convoy_size",
          "convoy_spacing")  # fmt: skip
"""What a scenario has one level of; the values of its flows and types lie around these levels."""

RADIO = "v2v"
SHARE_DECIMALS = 6

Coordinate = tuple[str, ...]
"""Name of one number that is drawn: a level, the radio, or a value of a flow or of a type."""


@dataclass(frozen=True)
class Traffic:
    """What of a base scenario can be varied.

    Attributes:
        headways_s: mean seconds between two vehicles of each flow; infinite for a single background vehicle.
        types: ids of the vehicle types.
        convoy_types: those that cars of the convoy have; they share one mean speedFactor.
        ego_types: those that only the ego has; how it follows is left alone.
        heavy_flows: ids of the flows of trucks and buses.
        types_without_sigma: those whose car-following model has no imperfection.
        has_mixes: whether a vTypeDistribution holds heavy and other types.
        most_spacing: by each possible number of cars in the convoy, the largest factor on its distances that fits on
            its edge; None where the distances can't be varied. Empty: neither number nor distances can.
    """

    headways_s: Mapping[str, float]
    types: tuple[str, ...]
    convoy_types: frozenset[str]
    ego_types: frozenset[str]
    heavy_flows: frozenset[str] = frozenset()
    types_without_sigma: frozenset[str] = frozenset()
    has_mixes: bool = False
    most_spacing: Mapping[int, float | None] = field(default_factory=dict)

    @property
    def coordinates(self) -> list[Coordinate]:
        """Names of all that is drawn, in a fixed order: another order gives other datasets for the same seed."""
        names: list[Coordinate] = [(level,) for level in (*LEVELS, RADIO)]
        names += [("convoy", "speed_mean"), ("convoy", "speed_dev")]
        for kind in self.types:
            own = () if kind in self.convoy_types else ("speed_mean", "speed_dev")
            names += [("type", kind, value) for value in ("sigma", *FOLLOWING, *own)]
        return names + [("flow", flow, value) for flow in self.headways_s for value in ("density", "shift_s")]

    @property
    def heavy_rate_share(self) -> float:
        """Share of the heavy flows in the rate of all."""
        rates = {name: 1.0 / headway_s for name, headway_s in self.headways_s.items()}
        total = add_in_order(rates.values())
        return add_in_order(rates[name] for name in sorted(self.heavy_flows)) / total if total else 0.0

    def supports(self, level: str) -> bool:
        """Tells whether the base has what this level varies."""
        if level == "density":
            return any(headway_s < math.inf for headway_s in self.headways_s.values())
        if level == "sigma":
            return bool(set(self.types) - self.ego_types - self.types_without_sigma)
        if level == "heavy_share":
            return self.has_mixes or 0.0 < self.heavy_rate_share < 1.0
        if level == "convoy_size":
            return len(self.most_spacing) > 1
        if level == "convoy_spacing":
            return any(most is not None for most in self.most_spacing.values())
        return True


def convoy_sizes(traffic: Traffic, ranges: VariationRanges) -> list[int]:
    """Returns the possible numbers of cars in the convoy within the range; if there is none, the nearest to it."""
    low, high = ranges.convoy_size
    within = [size for size in sorted(traffic.most_spacing) if low <= size <= high]
    return within or [min(traffic.most_spacing, key=lambda size: max(low - size, size - high))]


def mix_factors(share: float, factor: float) -> tuple[float, float]:
    """Returns the factors on heavy and other rates that change a share by a factor and keep the sum.

    The others keep at least half of what they had. A mix of one kind is left alone.
    """
    if not 0.0 < share < 1.0:
        return 1.0, 1.0
    new = min(share * factor, (1.0 + share) / 2.0)
    return round(new / share, SHARE_DECIMALS), round((1.0 - new) / (1.0 - share), SHARE_DECIMALS)
