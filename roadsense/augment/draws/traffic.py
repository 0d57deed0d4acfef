"""What a base scenario offers for variation. No files and no SUMO here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from roadsense.augment.draws.ranges import VariationRanges

FOLLOWING = ("tau", "accel", "decel", "min_gap")
LEVELS = ("density", "speed_mean", "sigma", *FOLLOWING, "convoy_shift_s", "heavy_share", "friction", "convoy_size",
          "convoy_spacing")  # fmt: skip
"""What a scenario has one level of: flows and types lie around the levels of theirs."""

SHARE_DECIMALS = 6
_CONVOY_DIMS = 2


@dataclass(frozen=True)
class Traffic:
    """What a base scenario offers for variation.

    Attributes:
        headways_s: mean seconds between two vehicles of each flow; infinite for a single background vehicle.
        types: ids of the vehicle types.
        convoy_types: those that cars of the convoy have; they share one mean speedFactor.
        ego_types: those that only the ego has; how it follows is left alone.
        heavy_flows: ids of the flows of trucks and buses.
        has_mixes: whether a vTypeDistribution holds heavy and other types.
        most_spacing: by each number of cars the convoy may have, the largest factor on its distances that its edge
            has room for; None where the distances can't be varied. Empty: neither number nor distances can.
    """

    headways_s: Mapping[str, float]
    types: tuple[str, ...]
    convoy_types: frozenset[str]
    ego_types: frozenset[str]
    heavy_flows: frozenset[str] = frozenset()
    has_mixes: bool = False
    most_spacing: Mapping[int, float | None] = field(default_factory=dict)

    @property
    def n_dims(self) -> int:
        """Length of a draw's point: the levels, the radio, the convoy's speeds, then flows and types."""
        n_background = len(self.types) - len(self.convoy_types)
        n_members = 2 * len(self.headways_s) + (1 + len(FOLLOWING)) * len(self.types) + 2 * n_background
        return len(LEVELS) + 1 + _CONVOY_DIMS + n_members

    @property
    def heavy_rate_share(self) -> float:
        """Share of the heavy flows in the rate of all."""
        rates = {name: 1.0 / headway_s for name, headway_s in self.headways_s.items()}
        total = sum(rates.values())
        return sum(rates[name] for name in sorted(self.heavy_flows)) / total if total else 0.0

    def offers(self, level: str) -> bool:
        """Tells whether the base has what a level is of."""
        if level == "heavy_share":
            return self.has_mixes or 0.0 < self.heavy_rate_share < 1.0
        if level == "convoy_size":
            return len(self.most_spacing) > 1
        if level == "convoy_spacing":
            return any(most is not None for most in self.most_spacing.values())
        return True


def convoy_sizes(traffic: Traffic, ranges: VariationRanges) -> list[int]:
    """Returns the numbers of cars within the range that the convoy may have, or the nearest to it, if there is none."""
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
