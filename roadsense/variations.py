"""What is varied between scenarios, over which range, and one draw of it. No files and no SUMO here."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from roadsense.errors import InputError
from roadsense.scenario import DENSITY_WORDS, DRIVER_WORDS

Range = tuple[float, float]

N_LEVELS = 2
"""The first coordinates of a draw's point: the density level and the driver level."""

DECIMALS = 4
SECONDS_DECIMALS = 2
_LIMITS: Mapping[str, Range] = {
    "density": (0.01, 10.0),
    "sigma": (0.0, 1.0),
    "speed_mean": (0.2, 2.0),
    "speed_dev": (0.0, 0.5),
    "convoy_speed_dev": (0.0, 0.5),
    "background_shift_s": (0.0, 3600.0),
    "convoy_shift_s": (-3600.0, 3600.0),
}


@dataclass(frozen=True)
class VariationRanges:
    """Lowest and highest value of everything that is varied."""

    density: Range = (0.7, 1.3)
    """Factor on each flow's rate; the word sparse, medium or dense is the third of this range."""
    sigma: Range = (0.0, 0.5)
    """Imperfection of each vehicle type's drivers; the ego's own type is left alone."""
    speed_mean: Range = (0.8, 1.2)
    """Mean speedFactor of each type; the word cautious, normal or aggressive is the third of this range."""
    speed_dev: Range = (0.05, 0.15)
    """Standard deviation of speedFactor within a background type."""
    convoy_speed_dev: Range = (0.0, 0.03)
    """The same within the convoy, whose cars share one mean: a wider one tears the convoy apart."""
    speed_cut: float = 0.2
    """speedFactor is cut off this far below and above its mean."""
    background_shift_s: Range = (0.0, 10.0)
    """Seconds by which a flow begins later, at most its own mean headway; the same for single vehicles."""
    convoy_shift_s: Range = (-3.0, 3.0)
    """Seconds by which the convoy as a whole departs later."""
    level_spread: float = 0.25
    """How far single flows and types may lie from the scenario's level, as a share of the range."""

    def __post_init__(self) -> None:
        """Refuses ranges that SUMO or the words could make nothing of.

        Raises:
            InputError: naming the range, what was expected and what came.
        """
        for name, limits in _LIMITS.items():
            value = getattr(self, name)
            value = tuple(value) if isinstance(value, list) else value  # as JSON and notebooks give it
            _check_range(name, value, limits)
            object.__setattr__(self, name, value)
        if not 0.0 <= self.level_spread <= 0.5:
            raise InputError(f"level_spread: expected 0 to 0.5, got {self.level_spread}.")
        if not 0.0 <= self.speed_cut < self.speed_mean[0]:
            raise InputError(
                f"speed_cut: expected 0 or more and less than the lowest speed_mean, "
                f"{self.speed_mean[0]}, so that every speedFactor is positive; got {self.speed_cut}."
            )


@dataclass(frozen=True)
class Traffic:
    """What a base scenario offers for variation.

    Attributes:
        headways_s: mean seconds between two vehicles of each flow; infinite for a single background vehicle.
        types: ids of the vehicle types.
        convoy_types: those that cars of the convoy have; they share one mean speedFactor.
        ego_types: those that only the ego has; their sigma is left alone.
    """

    headways_s: Mapping[str, float]
    types: tuple[str, ...]
    convoy_types: frozenset[str]
    ego_types: frozenset[str]

    @property
    def n_dims(self) -> int:
        """Length of a draw's point."""
        n_background = len(self.types) - len(self.convoy_types)
        return N_LEVELS + 3 + 2 * len(self.headways_s) + len(self.types) + 2 * n_background


@dataclass(frozen=True)
class FlowDraw:
    """A flow's drawn factor on its rate, and by how many seconds it begins later."""

    density: float
    shift_s: float


@dataclass(frozen=True)
class TypeDraw:
    """A type's drawn sigma (None: left alone), and mean and standard deviation of its speedFactor."""

    sigma: float | None
    speed_mean: float
    speed_dev: float


@dataclass(frozen=True)
class Variation:
    """One draw: everything in which a scenario differs from its base.

    Attributes:
        density_level: 0 (sparsest) to 1 (densest); the flows' factors lie around it.
        driver_level: 0 (most cautious) to 1 (most aggressive); the types' mean speedFactors lie around it.
        convoy_shift_s: seconds by which the convoy departs later.
        speed_cut: how far every speedFactor may lie from its mean; not drawn.
        flows: by id of the flow or single background vehicle.
        types: by id of the vehicle type.
        sumo_seed: SUMO's own seed.
        point: the draw before scaling, each coordinate in [0, 1).
    """

    density_level: float
    driver_level: float
    convoy_shift_s: float
    speed_cut: float
    flows: Mapping[str, FlowDraw]
    types: Mapping[str, TypeDraw]
    sumo_seed: int
    point: tuple[float, ...]

    @property
    def density_word(self) -> str:
        """The third of the density range, as a word."""
        return DENSITY_WORDS[int(self.density_level * 3)]

    @property
    def driver_word(self) -> str:
        """The third of the speed range, as a word."""
        return DRIVER_WORDS[int(self.driver_level * 3)]

    def distance(self, other: "Variation") -> float:
        """Returns the root mean square difference to another draw of the same base, ranges scaled to 1."""
        return float(np.sqrt(np.mean(np.square(np.subtract(self.point, other.point)))))


def draw_variations(n: int, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator) -> list[Variation]:
    """Returns n draws by Latin hypercube: every coordinate has one draw in each n-th of its range."""
    points = qmc.LatinHypercube(d=traffic.n_dims, rng=rng).random(n)
    return [_at(point, traffic, ranges, rng) for point in points]


def redraw(
    refused: Variation, n: int, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator
) -> Variation:
    """Returns another draw whose two levels lie in the same n-th of their ranges as the refused one's."""
    point = rng.random(traffic.n_dims)
    strata = np.floor(np.asarray(refused.point[:N_LEVELS]) * n)
    point[:N_LEVELS] = (strata + point[:N_LEVELS]) / n
    return _at(point, traffic, ranges, rng)


def _at(point: np.ndarray, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator) -> Variation:
    point = np.minimum(point, np.nextafter(1.0, 0.0))
    units = iter(point.tolist())
    density_level, driver_level = next(units), next(units)
    convoy_shift_s = _scale(next(units), ranges.convoy_shift_s, SECONDS_DECIMALS)
    return Variation(
        density_level=density_level,
        driver_level=driver_level,
        convoy_shift_s=convoy_shift_s,
        speed_cut=ranges.speed_cut,
        flows=_flow_draws(density_level, traffic, ranges, units),
        types=_type_draws(driver_level, traffic, ranges, units),
        sumo_seed=int(rng.integers(2**31 - 1)),
        point=tuple(point.tolist()),
    )


def _flow_draws(level: float, traffic: Traffic, ranges: VariationRanges, units: Iterator[float]) -> dict[str, FlowDraw]:
    draws = {}
    for name, headway_s in traffic.headways_s.items():
        density = _scale(_near(level, next(units), ranges.level_spread), ranges.density)
        low, high = ranges.background_shift_s
        shift_range = (low, max(low, min(high, headway_s / density)))
        draws[name] = FlowDraw(density, _scale(next(units), shift_range, SECONDS_DECIMALS))
    return draws


def _type_draws(level: float, traffic: Traffic, ranges: VariationRanges, units: Iterator[float]) -> dict[str, TypeDraw]:
    convoy_mean = _scale(_near(level, next(units), ranges.level_spread), ranges.speed_mean)
    convoy_dev = _scale(next(units), ranges.convoy_speed_dev)
    draws = {}
    for name in traffic.types:
        sigma = _scale(next(units), ranges.sigma)
        if name in traffic.convoy_types:
            draws[name] = TypeDraw(None if name in traffic.ego_types else sigma, convoy_mean, convoy_dev)
            continue
        mean = _scale(_near(level, next(units), ranges.level_spread), ranges.speed_mean)
        draws[name] = TypeDraw(sigma, mean, _scale(next(units), ranges.speed_dev))
    return draws


def _near(level: float, unit: float, spread: float) -> float:
    # Reflected at the ends: evenly spread levels then give evenly spread values, with no heap at the ends.
    value = abs(level + spread * (2.0 * unit - 1.0))
    return 2.0 - value if value > 1.0 else value


def _scale(unit: float, limits: Range, decimals: int = DECIMALS) -> float:
    low, high = limits
    return min(max(round(low + unit * (high - low), decimals), low), high)


def _check_range(name: str, value: Range, limits: Range) -> None:
    numbers = (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(end, int | float) and math.isfinite(end) for end in value)
    )
    if not numbers or not limits[0] <= value[0] <= value[1] <= limits[1]:
        raise InputError(f"{name}: expected (lowest, highest) within {limits[0]:g} to {limits[1]:g}, got {value}.")
