"""One draw of everything that is varied, and how far two draws are apart. No files and no SUMO here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import qmc

from roadsense.augment.draws.ranges import LIMITS, Range, VariationRanges
from roadsense.augment.draws.strata import Strata, deal_strata
from roadsense.augment.draws.traffic import FOLLOWING, LEVELS, Traffic, convoy_sizes, mix_factors
from roadsense.scenarios.scenario import DENSITY_WORDS, DRIVER_WORDS

DECIMALS = 4
SECONDS_DECIMALS = 2
_LAST = np.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class FlowDraw:
    """A flow's drawn factor on its rate, by how many seconds it begins later, and its part in the vehicle mix.

    Attributes:
        density: drawn factor on its rate.
        shift_s: seconds by which it begins later.
        share: further factor on its rate that changes the share of heavy vehicles, not the rate of all flows.
    """

    density: float
    shift_s: float
    share: float = 1.0


@dataclass(frozen=True)
class TypeDraw:
    """A type's drawn imperfection, speedFactor, and factors on how it follows; None: left alone.

    Attributes:
        sigma: imperfection.
        speed_mean: mean of its speedFactor.
        speed_dev: standard deviation of it.
        tau: factor on its time headway.
        accel: factor on its acceleration.
        decel: factor on its deceleration.
        min_gap: factor on its gap at standstill.
    """

    sigma: float | None
    speed_mean: float
    speed_dev: float
    tau: float | None = None
    accel: float | None = None
    decel: float | None = None
    min_gap: float | None = None


@dataclass(frozen=True)
class Variation:
    """One draw: everything in which a scenario differs from its base.

    Attributes:
        density_level: 0 (sparsest) to 1 (densest), within the drawn range.
        driver_level: 0 (most cautious) to 1 (most aggressive), within the drawn range.
        levels: the scenario's value of each of `LEVELS` that its base offers.
        speed_cut: how far every speedFactor may lie from its mean; not drawn.
        flows: by id of the flow or single background vehicle.
        types: by id of the vehicle type.
        v2v: name of the scenario's radio; None: nothing is said.
        sumo_seed: SUMO's own seed.
    """

    density_level: float
    driver_level: float
    levels: Mapping[str, float]
    speed_cut: float
    flows: Mapping[str, FlowDraw]
    types: Mapping[str, TypeDraw]
    v2v: str | None
    sumo_seed: int

    @property
    def density_word(self) -> str:
        """The third of the density range, as a word."""
        return DENSITY_WORDS[int(self.density_level * 3)]

    @property
    def driver_word(self) -> str:
        """The third of the speed range, as a word."""
        return DRIVER_WORDS[int(self.driver_level * 3)]

    def place(self, ranges: VariationRanges) -> np.ndarray:
        """Returns its levels divided by the widths of these ranges; those of a range of one value are left out."""
        widths = {name: getattr(ranges, name)[1] - getattr(ranges, name)[0] for name in self.levels}
        return np.array([self.levels[name] / width for name, width in widths.items() if width > 0.0])


def nearest_distance(place: np.ndarray, others: np.ndarray) -> float:
    """Returns the root mean square difference over the levels to the nearest of other places of the same base."""
    if not len(place):
        return 0.0
    return float(np.sqrt(np.mean(np.square(others - place), axis=1)).min())


def draw_variations(
    n: int, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator, strata: Sequence[Strata] | None = None
) -> list[Variation]:
    """Returns n draws by Latin hypercube: each level has one draw in each n-th of its range.

    Args:
        n: how many.
        traffic: what the base offers.
        ranges: what the values are drawn from.
        rng: source of all that is drawn.
        strata: where each draw's density and driver level lie; None: dealt here, so that words come evenly.
    """
    dealt = deal_strata([n], rng)[0] if strata is None else strata
    points = qmc.LatinHypercube(d=traffic.n_dims, rng=rng).random(n)
    return [_at(point, own, traffic, ranges, rng) for point, own in zip(points, dealt, strict=True)]


def redraw(strata: Strata, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator) -> Variation:
    """Returns another draw in these strata of the density and the driver level."""
    return _at(rng.random(traffic.n_dims), strata, traffic, ranges, rng)


def draw_at(
    units: Mapping[str, float], traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator
) -> Variation:
    """Returns the draw whose levels lie at chosen places; all else is drawn.

    Args:
        units: by name of a level, and `v2v`: where on its range it lies, 0 to 1. What isn't named is drawn.
        traffic: what the base offers.
        ranges: what the values are drawn from.
        rng: source of all that is drawn.
    """
    point = rng.random(traffic.n_dims)
    for place, name in enumerate((*LEVELS, "v2v")):
        point[place] = units.get(name, point[place])
    density, speed = (float(point[place]) for place in (0, 1))
    return _at(point, ((density, density), (speed, speed)), traffic, ranges, rng)


def restore_variation(values: Mapping[str, Any]) -> Variation:
    """Returns the draw that a manifest holds as JSON."""
    flows = {name: FlowDraw(**draw) for name, draw in values["flows"].items()}
    types = {name: TypeDraw(**draw) for name, draw in values["types"].items()}
    return Variation(**{**values, "flows": flows, "types": types})


def _at(
    point: np.ndarray, strata: Strata, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator
) -> Variation:
    for i, (low, high) in enumerate(strata):
        point[i] = min(low + (high - low) * rng.random(), np.nextafter(high, 0.0))
    units = iter(np.minimum(point, _LAST).tolist())
    level_units = {name: next(units) for name in LEVELS}
    radio = next(units)
    levels = _levels(level_units, traffic, ranges)
    return Variation(
        density_level=level_units["density"],
        driver_level=level_units["speed_mean"],
        levels=levels,
        speed_cut=ranges.speed_cut,
        types=_type_draws(level_units, traffic, ranges, units),
        flows=_flow_draws(level_units["density"], levels.get("heavy_share", 1.0), traffic, ranges, units),
        v2v=ranges.v2v[int(radio * len(ranges.v2v))] if ranges.v2v else None,
        sumo_seed=int(rng.integers(2**31 - 1)),
    )


def _levels(units: Mapping[str, float], traffic: Traffic, ranges: VariationRanges) -> dict[str, float]:
    levels = {name: _scale(unit, getattr(ranges, name)) for name, unit in units.items() if traffic.offers(name)}
    levels["convoy_shift_s"] = round(levels["convoy_shift_s"], SECONDS_DECIMALS)
    dry = units["friction"] >= ranges.wet_share
    levels["friction"] = LIMITS["friction"][1] if dry else _scale(units["friction"] / ranges.wet_share, ranges.friction)
    if traffic.most_spacing:
        sizes = convoy_sizes(traffic, ranges)
        size = sizes[int(units["convoy_size"] * len(sizes))]
        levels["convoy_size"] = size
        most, (low, high) = traffic.most_spacing[size], ranges.convoy_spacing
        if most is not None:
            levels["convoy_spacing"] = _scale(units["convoy_spacing"], (min(low, most), min(high, most)))
    return levels


def _flow_draws(
    level: float, heavy_share: float, traffic: Traffic, ranges: VariationRanges, units: Iterator[float]
) -> dict[str, FlowDraw]:
    heavy, light = mix_factors(traffic.heavy_rate_share, heavy_share)
    draws = {}
    for name, headway_s in traffic.headways_s.items():
        density = _scale(_near(level, next(units), ranges.level_spread), ranges.density)
        share = heavy if name in traffic.heavy_flows else light
        low, high = ranges.background_shift_s
        latest = max(low, min(high, headway_s / (density * share)))
        draws[name] = FlowDraw(density, round(_scale(next(units), (low, latest)), SECONDS_DECIMALS), share)
    return draws


def _type_draws(
    level_units: Mapping[str, float], traffic: Traffic, ranges: VariationRanges, units: Iterator[float]
) -> dict[str, TypeDraw]:
    def _around(name: str) -> float:
        return _scale(_near(level_units[name], next(units), ranges.level_spread), getattr(ranges, name))

    convoy_mean, convoy_dev = _around("speed_mean"), _scale(next(units), ranges.convoy_speed_dev)
    draws = {}
    for name in traffic.types:
        drawn = {key: _around(key) for key in ("sigma", *FOLLOWING)}
        own = dict.fromkeys(drawn) if name in traffic.ego_types else drawn
        if name in traffic.convoy_types:
            draws[name] = TypeDraw(speed_mean=convoy_mean, speed_dev=convoy_dev, **own)
        else:
            mean = _around("speed_mean")
            draws[name] = TypeDraw(speed_mean=mean, speed_dev=_scale(next(units), ranges.speed_dev), **own)
    return draws


def _near(level: float, unit: float, spread: float) -> float:
    # Reflected at the ends: evenly spread levels then give evenly spread values, with no heap at the ends.
    value = abs(level + spread * (2.0 * unit - 1.0))
    return 2.0 - value if value > 1.0 else value


def _scale(unit: float, limits: Range) -> float:
    low, high = limits
    return min(max(round(low + unit * (high - low), DECIMALS), low), high)
