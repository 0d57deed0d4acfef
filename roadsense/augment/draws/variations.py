"""One draw of everything that is varied, and the distance of two draws. No files and no SUMO here."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from scipy.stats import qmc

from roadsense.augment.draws.ranges import AROUND, LIMITS, Range, VariationRanges
from roadsense.augment.draws.stratified_sampling import Strata, deal_strata
from roadsense.augment.draws.traffic import FOLLOWING, LEVELS, RADIO, Coordinate, Traffic, convoy_sizes, mix_factors
from roadsense.envs.surroundings import SurroundingsRanges, place_surroundings
from roadsense.scenarios.records import DENSITY_WORDS, DRIVER_WORDS, FIXED

DECIMALS = 4
SECONDS_DECIMALS = 2
_LAST = np.nextafter(1.0, 0.0)


@dataclass(frozen=True)
class FlowDraw:
    """The drawn values of a flow.

    Attributes:
        density: factor on its rate.
        shift_s: delay of its begin [s].
        share: further factor on its rate, which changes the share of heavy vehicles but not the rate of all flows.
    """

    density: float
    shift_s: float
    share: float = 1.0


@dataclass(frozen=True)
class TypeDraw:
    """The drawn values of a vehicle type; None: not varied.

    Attributes:
        sigma: imperfection, 0 to 1.
        speed_mean: mean of its speedFactor.
        speed_dev: standard deviation of its speedFactor.
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
    """One draw: all differences of a scenario from its base.

    Attributes:
        density_level: 0 (sparsest) to 1 (densest), within the drawn range; None where no flow is varied.
        driver_level: 0 (most cautious) to 1 (most aggressive), within the drawn range.
        levels: the scenario's value of each of `LEVELS` that its base supports.
        speed_cut: largest distance of a speedFactor from its mean; not drawn.
        flows: drawn values of each flow or single background vehicle, by id.
        types: drawn values of each vehicle type, by id.
        v2v: name of the scenario's radio preset; None: the scenario names none.
        sumo_seed: SUMO's own seed.
        surroundings: drawn value of each range of the surroundings, by name; empty: the scenario asks for none.
        sensors: name of the scenario's sensors; None: the scenario names none.
    """

    density_level: float | None
    driver_level: float
    levels: Mapping[str, float]
    speed_cut: float
    flows: Mapping[str, FlowDraw]
    types: Mapping[str, TypeDraw]
    v2v: str | None
    sumo_seed: int
    surroundings: Mapping[str, float] = field(default_factory=dict)
    sensors: str | None = None

    @property
    def density_word(self) -> str:
        """The third of the density range, as a word; `fixed` where no flow is varied."""
        return FIXED if self.density_level is None else DENSITY_WORDS[int(self.density_level * 3)]

    @property
    def driver_word(self) -> str:
        """The third of the speed range, as a word."""
        return DRIVER_WORDS[int(self.driver_level * 3)]

    def place(self, ranges: VariationRanges) -> np.ndarray:
        """Returns its levels divided by the widths of their ranges, without levels that have only one value."""
        widths = {name: getattr(ranges, name)[1] - getattr(ranges, name)[0] for name in self.levels}
        return np.array([self.levels[name] / width for name, width in widths.items() if width > 0.0])


def nearest_distance(place: np.ndarray, others: np.ndarray) -> float:
    """Returns the root mean square difference over the levels to the nearest row of `others`."""
    if not len(place):
        return 0.0
    return float(np.sqrt(np.mean(np.square(others - place), axis=1)).min())


def draw_variations(
    n: int, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator, strata: Sequence[Strata] | None = None
) -> list[Variation]:
    """Returns n draws by Latin hypercube: each level has one draw in each n-th of its range.

    Args:
        n: number of draws.
        traffic: what can be varied in the base.
        ranges: ranges of the values.
        rng: random generator of all draws.
        strata: part of the density and driver range of each draw; None: chosen here, all words equally frequent.
    """
    dealt = deal_strata([n], rng)[0] if strata is None else strata
    points = qmc.LatinHypercube(d=len(traffic.coordinates), rng=rng).random(n)
    return [_at(point, own, traffic, ranges, rng) for point, own in zip(points, dealt, strict=True)]


def draw_around(draws: Sequence[Variation], ranges: VariationRanges, rng: np.random.Generator) -> list[Variation]:
    """Returns draws with surroundings and sensors by Latin hypercube, and everything else as it is.

    Args:
        draws: draws without them.
        ranges: ranges of the values.
        rng: random generator of these draws alone, so that roads and traffic stay the same whatever the surroundings.
    """
    bounds = ranges.surroundings()
    points = qmc.LatinHypercube(d=len(AROUND) + 1, rng=rng).random(len(draws))
    return [
        _with_around(draw, point.tolist(), bounds, ranges.sensors) for draw, point in zip(draws, points, strict=True)
    ]


def _with_around(
    draw: Variation, point: Sequence[float], bounds: SurroundingsRanges, sensors: Sequence[str]
) -> Variation:
    around = asdict(place_surroundings(point[:-1], bounds)) if bounds != SurroundingsRanges() else {}
    drawn = {name: round(value, DECIMALS) for name, value in around.items()}
    name = sensors[min(int(point[-1] * len(sensors)), len(sensors) - 1)] if sensors else None
    return replace(draw, surroundings=drawn, sensors=name)


def redraw(strata: Strata, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator) -> Variation:
    """Returns another draw from the same part of the density and the driver range."""
    return _at(rng.random(len(traffic.coordinates)), strata, traffic, ranges, rng)


def draw_at(
    units: Mapping[str, float], traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator
) -> Variation:
    """Returns a draw with chosen levels; the rest is random.

    Args:
        units: position in its range, 0 to 1, by name of a level or `v2v`. Levels that are not named are random.
        traffic: what can be varied in the base.
        ranges: ranges of the values.
        rng: random generator of all draws.
    """
    point = rng.random(len(traffic.coordinates))
    names = traffic.coordinates
    for name, unit in units.items():
        point[names.index((name,))] = unit
    density, speed = (float(point[names.index((name,))]) for name in ("density", "speed_mean"))
    return _at(point, Strata((density, density), (speed, speed)), traffic, ranges, rng)


def restore_variation(values: Mapping[str, Any]) -> Variation:
    """Returns the draw that a manifest holds as JSON."""
    flows = {name: FlowDraw(**draw) for name, draw in values["flows"].items()}
    types = {name: TypeDraw(**draw) for name, draw in values["types"].items()}
    return Variation(**{**values, "flows": flows, "types": types})


Units = Mapping[Coordinate, float]
"""Position of each drawn value in its range, from 0 to below 1."""


def _at(
    point: np.ndarray, strata: Strata, traffic: Traffic, ranges: VariationRanges, rng: np.random.Generator
) -> Variation:
    units = dict(zip(traffic.coordinates, np.minimum(point, _LAST).tolist(), strict=True))
    for name, (low, high) in {"density": strata.density, "speed_mean": strata.driver}.items():
        units[(name,)] = float(min(low + (high - low) * rng.random(), np.nextafter(high, 0.0), _LAST))
    levels = _levels(units, traffic, ranges)
    return Variation(
        density_level=units[("density",)] if "density" in levels else None,
        driver_level=units[("speed_mean",)],
        levels=levels,
        speed_cut=ranges.speed_cut,
        flows=_flow_draws(units, levels.get("heavy_share", 1.0), traffic, ranges),
        types=_type_draws(units, traffic, ranges),
        v2v=ranges.v2v[int(units[(RADIO,)] * len(ranges.v2v))] if ranges.v2v else None,
        sumo_seed=int(rng.integers(2**31 - 1)),
    )


def _levels(units: Units, traffic: Traffic, ranges: VariationRanges) -> dict[str, float]:
    levels = {name: _scale(units[(name,)], getattr(ranges, name)) for name in LEVELS if traffic.supports(name)}
    levels["convoy_shift_s"] = round(levels["convoy_shift_s"], SECONDS_DECIMALS)
    wetness, share = units[("friction",)], ranges.wet_share
    levels["friction"] = LIMITS["friction"][1] if wetness >= share else _scale(wetness / share, ranges.friction)
    if traffic.most_spacing:
        sizes = convoy_sizes(traffic, ranges)
        size = sizes[int(units[("convoy_size",)] * len(sizes))]
        levels["convoy_size"] = size
        most, (low, high) = traffic.most_spacing[size], ranges.convoy_spacing
        if most is not None:
            levels["convoy_spacing"] = _scale(units[("convoy_spacing",)], (min(low, most), min(high, most)))
    return levels


def _flow_draws(units: Units, heavy_share: float, traffic: Traffic, ranges: VariationRanges) -> dict[str, FlowDraw]:
    heavy, light = mix_factors(traffic.heavy_rate_share, heavy_share)
    draws = {}
    for name, headway_s in traffic.headways_s.items():
        unit = _near(units[("density",)], units[("flow", name, "density")], ranges.level_spread)
        density, share = _scale(unit, ranges.density), heavy if name in traffic.heavy_flows else light
        low, high = ranges.background_shift_s
        latest = max(low, min(high, headway_s / (density * share)))
        shift_s = round(_scale(units[("flow", name, "shift_s")], (low, latest)), SECONDS_DECIMALS)
        draws[name] = FlowDraw(density, shift_s, share)
    return draws


def _type_draws(units: Units, traffic: Traffic, ranges: VariationRanges) -> dict[str, TypeDraw]:
    def _around(level: str, own: Coordinate) -> float:
        return _scale(_near(units[(level,)], units[own], ranges.level_spread), getattr(ranges, level))

    convoy = (
        _around("speed_mean", ("convoy", "speed_mean")),
        _scale(units[("convoy", "speed_dev")], ranges.convoy_speed_dev),
    )
    draws = {}
    for name in traffic.types:
        drawn = {key: _around(key, ("type", name, key)) for key in ("sigma", *FOLLOWING)}
        own: dict[str, float | None] = dict.fromkeys(drawn) if name in traffic.ego_types else {**drawn}
        if name in traffic.types_without_sigma:
            own["sigma"] = None
        if name in traffic.convoy_types:
            mean, dev = convoy
        else:
            mean = _around("speed_mean", ("type", name, "speed_mean"))
            dev = _scale(units[("type", name, "speed_dev")], ranges.speed_dev)
        draws[name] = TypeDraw(speed_mean=mean, speed_dev=dev, **own)
    return draws


def _near(level: float, unit: float, spread: float) -> float:
    # Reflected at the ends: even levels then give even values, without a peak at the ends.
    value = abs(level + spread * (2.0 * unit - 1.0))
    return 2.0 - value if value > 1.0 else value


def _scale(unit: float, limits: Range) -> float:
    low, high = limits
    return min(max(round(low + unit * (high - low), DECIMALS), low), high)
