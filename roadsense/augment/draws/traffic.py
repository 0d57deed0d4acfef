"""Describes what can be varied in a base scenario. No files and no SUMO here."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.utils.reproducible import add_in_order

FOLLOWING = ("tau", "accel", "decel", "min_gap")
LEVELS = ("density", "speed_mean", "sigma", *FOLLOWING, "convoy_shift_s", "heavy_share", "friction", "convoy_size",
          "convoy_spacing")  # fmt: skip
"""Quantities with one level for each scenario; the values of its flows and types lie around these levels."""

RADIO = "v2v"
SHARE_DECIMALS = 6

Coordinate = tuple[str, ...]
"""Name of one number that is drawn: a level, the radio, or a value of a flow or of a type."""


@dataclass(frozen=True)
class Traffic:
    """What can be varied in a base scenario.

    Attributes:
        headways_s: mean time between two vehicles of each flow [s]; infinite for a single background vehicle.
        types: ids of the vehicle types.
        convoy_types: ids of the types of convoy cars; they share one mean speedFactor.
        ego_types: ids of types that only the ego has; its car following is not varied.
        heavy_flows: ids of the flows of trucks and buses.
        types_without_sigma: ids of types whose car-following model has no imperfection.
        has_mixes: whether a vTypeDistribution mixes heavy and other types.
        most_spacing: largest factor on the convoy's distances that fits on its edge, by each possible number of cars;
            None where the distances can't be varied. Empty: neither number nor distances can be varied.
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
        """Names of all drawn values in a fixed order: another order gives other datasets for the same seed."""
        names: list[Coordinate] = [(level,) for level in (*LEVELS, RADIO)]
        names += [("convoy", "speed_mean"), ("convoy", "speed_dev")]
        for kind in self.types:
            own = () if kind in self.convoy_types else ("speed_mean", "speed_dev")
            names += [("type", kind, value) for value in ("sigma", *FOLLOWING, *own)]
        return names + [("flow", flow, value) for flow in self.headways_s for value in ("density", "shift_s")]

    @property
    def heavy_rate_share(self) -> float:
        """Share of the heavy flows in the total rate, 0 to 1."""
        rates = {name: 1.0 / headway_s for name, headway_s in self.headways_s.items()}
        total = add_in_order(rates.values())
        return add_in_order(rates[name] for name in sorted(self.heavy_flows)) / total if total else 0.0

    def supports(self, level: str) -> bool:
        """Returns whether the base has what this level varies."""
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
    """Returns the factors on heavy and other rates that change the heavy share by a factor and keep the total.

    The others keep at least half of their rate. A mix of one kind stays unchanged.
    """
    if not 0.0 < share < 1.0:
        return 1.0, 1.0
    new = min(share * factor, (1.0 + share) / 2.0)
    return round(new / share, SHARE_DECIMALS), round((1.0 - new) / (1.0 - share), SHARE_DECIMALS)
