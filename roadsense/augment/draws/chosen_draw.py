"""A draw whose levels the user chose, for example with the preview's sliders. No files and no SUMO here."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.traffic import Traffic, convoy_sizes
from roadsense.augment.draws.variations import Variation, draw_at
from roadsense.envs.surroundings import Surroundings, SurroundingsRanges
from roadsense.errors import InputError

PLAIN_LEVELS = ("density", "speed_mean", "sigma", "tau", "accel", "decel", "min_gap", "convoy_shift_s", "heavy_share")
"""Levels that may take any value in their range."""
CHOSEN_AROUND = ("penetration", "cars_behind", "radio_cars")
"""What is chosen of the surroundings; nothing is relayed, and there is no decoy."""


@dataclass(frozen=True)
class ChosenDraw:
    """The levels of one scenario; the seed draws the values of its flows and types around them, as in any draw.

    Attributes:
        density: factor on the rates of the flows.
        sigma: imperfection of the drivers, 0 to 1.
        speed_mean: mean speedFactor.
        convoy_shift_s: delay of the convoy's departure [s]; negative: earlier.
        background_shift_s: largest delay of a flow's begin [s].
        heavy_share: factor on the share of trucks and buses.
        friction: friction of the road; 1 is dry.
        tau, accel, decel, min_gap: factors on the car-following values of the types.
        convoy_size: number of cars in the convoy.
        convoy_spacing: factor on the distances between the convoy's cars, limited by the room on the edge.
        v2v: name of the radio preset.
        sensors: name of the sensors.
        penetration: share of the other traffic that carries a radio.
        cars_behind: number of the convoy's cars behind the ego.
        radio_cars: number of cars on other roads, which are only heard.
        seed: seed of all values that aren't chosen, SUMO's own seed included; 0 or more.
    """

    density: float = 1.0
    sigma: float = 0.25
    speed_mean: float = 1.0
    convoy_shift_s: float = 0.0
    background_shift_s: float = 10.0
    heavy_share: float = 1.0
    friction: float = 1.0
    tau: float = 1.1
    accel: float = 1.0
    decel: float = 1.0
    min_gap: float = 1.05
    convoy_size: int = 5
    convoy_spacing: float = 1.05
    v2v: str | None = "esp_now"
    sensors: str | None = "hobby"
    penetration: float = 0.0
    cars_behind: int = 0
    radio_cars: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the seed.

        Raises:
            InputError: if it isn't a whole number of 0 or more.
        """
        if not isinstance(self.seed, int) or self.seed < 0:
            raise InputError(f"seed: expected a whole number of 0 or more, got {self.seed!r}.")


def draw_chosen(chosen: ChosenDraw, traffic: Traffic, ranges: VariationRanges) -> Variation:
    """Returns the draw with the chosen levels; a dataset with these ranges could also hold it.

    Raises:
        InputError: if a value is outside its range; it names the value.
    """
    units = {name: _place(name, getattr(chosen, name), getattr(ranges, name)) for name in PLAIN_LEVELS}
    units["friction"] = _friction_place(chosen.friction, ranges)
    units |= _convoy_places(chosen, traffic, ranges)
    if ranges.v2v:
        if chosen.v2v not in ranges.v2v:
            raise InputError(f"v2v: expected a radio of {', '.join(ranges.v2v)}, got {chosen.v2v!r}.")
        units["v2v"] = (ranges.v2v.index(chosen.v2v) + 0.5) / len(ranges.v2v)
    if ranges.sensors and chosen.sensors not in ranges.sensors:
        raise InputError(f"sensors: expected sensors of {', '.join(ranges.sensors)}, got {chosen.sensors!r}.")
    for name in CHOSEN_AROUND:
        _place(name, getattr(chosen, name), getattr(ranges, name))
    drawn = draw_at(units, traffic, _with_shift(chosen, ranges), np.random.default_rng(chosen.seed))
    around = Surroundings(**{name: getattr(chosen, name) for name in CHOSEN_AROUND})
    is_anybody = ranges.surroundings() != SurroundingsRanges()
    return replace(
        drawn, surroundings=asdict(around) if is_anybody else {}, sensors=chosen.sensors if ranges.sensors else None
    )


def fit_to_ranges(values: Mapping[str, Any], traffic: Traffic, ranges: VariationRanges) -> ChosenDraw:
    """Returns the choice nearest to these values that the ranges and the base allow."""
    fitted = asdict(ChosenDraw()) | dict(values)
    for name in (*PLAIN_LEVELS, *CHOSEN_AROUND, "friction", "background_shift_s", "convoy_spacing"):
        low, high = getattr(ranges, name)
        fitted[name] = min(max(fitted[name], low), high)
    if values.get("friction", 1.0) >= 1.0 or not ranges.wet_share:
        fitted["friction"] = 1.0
    if traffic.most_spacing:
        fitted["convoy_size"] = min(
            convoy_sizes(traffic, ranges), key=lambda size: abs(size - int(fitted["convoy_size"]))
        )
    for name, known in {"v2v": ranges.v2v, "sensors": ranges.sensors}.items():
        if fitted[name] not in known:
            fitted[name] = known[0] if known else None
    return ChosenDraw(**fitted)


def _place(name: str, value: float, span: tuple[float, float]) -> float:
    low, high = span
    if not low <= value <= high:
        raise InputError(f"{name}: expected {low:g} to {high:g}, got {value:g}. Choose another, or widen the range.")
    return (value - low) / (high - low) if high > low else 0.5


def _friction_place(friction: float, ranges: VariationRanges) -> float:
    if friction == 1.0 and ranges.wet_share < 1.0:
        return (ranges.wet_share + 1.0) / 2.0
    if not ranges.wet_share:
        raise InputError(f"friction: expected 1, since no road of these ranges is wet (wet_share 0), got {friction:g}.")
    return ranges.wet_share * _place("friction", friction, ranges.friction) * np.nextafter(1.0, 0.0)


def _convoy_places(chosen: ChosenDraw, traffic: Traffic, ranges: VariationRanges) -> dict[str, float]:
    spacing = _place("convoy_spacing", chosen.convoy_spacing, ranges.convoy_spacing)
    if not traffic.most_spacing:
        return {}
    sizes = convoy_sizes(traffic, ranges)
    if chosen.convoy_size not in sizes:
        raise InputError(f"convoy_size: expected one of {sizes}, got {chosen.convoy_size}.")
    low, high = ranges.convoy_spacing
    most = min(high, traffic.most_spacing[chosen.convoy_size] or high)
    if most > low:
        spacing = min((chosen.convoy_spacing - low) / (most - low), 1.0)
    return {"convoy_size": (sizes.index(chosen.convoy_size) + 0.5) / len(sizes), "convoy_spacing": spacing}


def _with_shift(chosen: ChosenDraw, ranges: VariationRanges) -> VariationRanges:
    _place("background_shift_s", chosen.background_shift_s, ranges.background_shift_s)
    return replace(ranges, background_shift_s=(ranges.background_shift_s[0], chosen.background_shift_s))
