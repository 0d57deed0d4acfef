"""Writes a draw into route files: the convoy, and types and drivers of all vehicles; each difference is an `Edit`."""

import copy
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from roadsense.augment.draws.traffic import SHARE_DECIMALS, mix_factors
from roadsense.augment.draws.variations import DECIMALS, TypeDraw, Variation
from roadsense.augment.edits.vehicle_defaults import DEFAULT_CLASS, HEAVY_CLASSES, following_defaults
from roadsense.envs.surroundings import Surroundings, format_surroundings
from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import read_seconds
from roadsense.utils.reproducible import add_in_order

SECONDS_DECIMALS = 2


@dataclass(frozen=True)
class Edit:
    """One attribute that differs between a base and a scenario drawn from it; None: the attribute is missing.

    A `param` has its owner's id, and its key as the attribute. The lanes of the network have the id `*` together.
    """

    element: str
    id: str
    attribute: str
    original: str | None
    new: str | None


def set_attribute(element: ET.Element, attribute: str, new: str | None) -> Edit:
    """Sets an attribute, or removes it with None."""
    edit = Edit(element.tag, element.get("id", ""), attribute, element.attrib.pop(attribute, None), new)
    if new is not None:
        element.set(attribute, new)
    return edit


def shift_seconds(element: ET.Element, attribute: str, shift_s: float) -> Edit:
    """Adds a shift in s to a time of a vehicle or flow."""
    return set_attribute(element, attribute, f"{read_seconds(element, attribute) + shift_s:.{SECONDS_DECIMALS}f}")


def set_param(owner: ET.Element, key: str, value: str) -> Edit:
    """Sets a generic parameter of a vehicle or type."""
    found = [param for param in owner.findall("param") if param.get("key") == key]
    param = found[0] if found else ET.SubElement(owner, "param", key=key)
    edit = set_attribute(param, "value", value)
    return Edit("param", owner.get("id", ""), key, edit.original, value)


MAX_CARS = 20
END_MARGIN_M = 1.0
V2V_KEY, SURROUNDINGS_KEY, SENSORS_KEY = "v2v", "surroundings", "sensors"
CAR_ID = "V{:03d}"
_POSITION_DECIMALS = 2


def vary_convoy(roots: Sequence[ET.Element], cars: Sequence[ET.Element], variation: Variation) -> list[Edit]:
    """Writes a draw into the convoy's cars; returns what differs.

    Cars are removed at the front, or copies of the first one are added there. The ego's position stays.

    Args:
        roots: root elements of the route files that hold the cars.
        cars: elements of the convoy's cars, from the ego to the first.
        variation: draw to write.
    """
    levels = variation.levels
    size = int(levels.get("convoy_size", len(cars)))
    edits = [_drop(roots, car) for car in cars[size:]]
    added, additions = _add(roots, cars, size - len(cars))
    left = [*cars[:size], *added]
    edits += [*additions, *_space(left, levels.get("convoy_spacing", 1.0))]
    edits += [shift_seconds(car, "depart", levels["convoy_shift_s"]) for car in left]
    if variation.v2v is not None:
        edits.append(set_param(cars[0], V2V_KEY, variation.v2v))
    if variation.surroundings:
        text = format_surroundings(Surroundings(**variation.surroundings))  # type: ignore[arg-type]
        edits.append(set_param(cars[0], SURROUNDINGS_KEY, text))
    if variation.sensors is not None:
        edits.append(set_param(cars[0], SENSORS_KEY, variation.sensors))
    return edits


def measure_room(cars: Sequence[ET.Element], edge_length_m: float) -> dict[int, float]:
    """Returns the largest factor on the convoy's distances that fits on its edge, by possible number of cars.

    Args:
        cars: elements of the cars from the ego to the first, all on one edge, with numeric positions.
        edge_length_m: length of that edge.
    """
    positions = read_positions(cars)
    ego_m, step_m = positions[0], _mean_spacing_m(positions)
    room = {}
    for size in range(2, MAX_CARS + 1):
        front_m = positions[size - 1] if size <= len(cars) else positions[-1] + (size - len(cars)) * step_m
        most = (edge_length_m - END_MARGIN_M - ego_m) / (front_m - ego_m)
        if most >= 1.0 or size <= len(cars):
            room[size] = max(most, 1.0)
    return room


def read_positions(cars: Sequence[ET.Element]) -> list[float]:
    """Returns the departPos of each car, in m.

    Raises:
        ScenarioError: if a position isn't a number, or is not ahead of the one before.
    """
    try:
        positions = [float(car.get("departPos", "base")) for car in cars]
    except ValueError as error:
        raise ScenarioError("expected every departPos of the convoy as a number.") from error
    if not all(math.isfinite(place) and place >= 0.0 for place in positions) or sorted(set(positions)) != positions:
        raise ScenarioError(f"expected the convoy's departPos from 0 and each ahead of the one before, got {positions}")
    return positions


def _mean_spacing_m(positions: Sequence[float]) -> float:
    return (positions[-1] - positions[0]) / (len(positions) - 1)


def _drop(roots: Sequence[ET.Element], car: ET.Element) -> Edit:
    next(root for root in roots if car in list(root)).remove(car)
    return Edit(car.tag, car.get("id", ""), "id", car.get("id", ""), None)


def _add(roots: Sequence[ET.Element], cars: Sequence[ET.Element], n: int) -> tuple[list[ET.Element], list[Edit]]:
    if n <= 0:
        return [], []
    positions = read_positions(cars)
    root = next(root for root in roots if cars[-1] in list(root))
    added = []
    for i in range(1, n + 1):
        car = copy.deepcopy(cars[-1])
        car.set("id", CAR_ID.format(len(cars) + i))
        car.set("departPos", str(round(positions[-1] + i * _mean_spacing_m(positions), _POSITION_DECIMALS)))
        root.append(car)
        added.append(car)
    return added, [Edit(car.tag, car.get("id", ""), "id", None, car.get("id")) for car in added]


def _space(cars: Sequence[ET.Element], factor: float) -> list[Edit]:
    if factor == 1.0:
        return []
    positions = read_positions(cars)
    return [
        set_attribute(car, "departPos", str(round(positions[0] + factor * (place - positions[0]), _POSITION_DECIMALS)))
        for car, place in zip(cars[1:], positions[1:], strict=True)
    ]


MIN_TAU_S = 0.1
"""A time headway below the step length makes cars collide."""

_ATTRIBUTES = {"tau": "tau", "accel": "accel", "decel": "decel", "min_gap": "minGap"}
FRICTION_PARAMS = {"has.friction.device": "true", "device.friction.stdDev": "0"}
"""Without this device SUMO ignores friction. Its noise is 0, so that all vehicles have the same road."""

_NORMC = re.compile(r"normc?\(([^)]*)\)")


class SpeedFactor(NamedTuple):
    """Distribution of a type's speedFactor: a normal one, cut off at its ends. Defaults: SUMO's own."""

    mean: float = 1.0
    dev: float = 0.1
    low: float = 0.2
    high: float = 2.0


def vary_types(root: ET.Element, variation: Variation, held: Collection[str] = ()) -> list[Edit]:
    """Writes a draw into the vehicle types of a route file; returns what differs.

    Args:
        root: root element of the file.
        variation: draw to write.
        held: ids of types whose maxSpeed is varied as their speedFactor is.
    """
    edits = []
    for kind in root.iter("vType"):
        draw = variation.types.get(kind.get("id", ""))
        if draw is None:  # of a class that is not varied
            continue
        edits += _vary_type(kind, draw, variation.speed_cut)
        if kind.get("id") in held:
            highest_mps = round(float(kind.get("maxSpeed", "nan")) * draw.speed_mean, DECIMALS)
            edits.append(set_attribute(kind, "maxSpeed", str(highest_mps)))
        if variation.levels["friction"] < 1.0:
            edits += [set_param(kind, key, value) for key, value in FRICTION_PARAMS.items()]
    kinds = {kind.get("id", ""): kind for kind in root.iter("vType")}
    mixes = list(root.iter("vTypeDistribution"))
    # Reads all before it writes: a mix may take its probabilities from the types within another.
    shifted = [_shift_mix(mix, kinds, variation.levels.get("heavy_share", 1.0)) for mix in mixes]
    for mix, probabilities in zip(mixes, shifted, strict=True):
        edits += _write_mix(mix, probabilities)
    return edits


def is_heavy(kind: ET.Element | None) -> bool:
    """Returns whether a vehicle type is one of trucks or buses."""
    return kind is not None and kind.get("vClass") in HEAVY_CLASSES


def format_speed_factor(draw: TypeDraw, cut: float) -> str:
    """Returns a type's speedFactor as SUMO reads it: `normc(mean,dev,min,max)`."""
    low, high = round(draw.speed_mean - cut, DECIMALS), round(draw.speed_mean + cut, DECIMALS)
    return f"normc({draw.speed_mean},{draw.speed_dev},{low},{high})"


def read_speed_factor(text: str | None, deviation: str | None) -> SpeedFactor:
    """Returns a type's speedFactor; SUMO's default for any distribution other than `normc`, `norm` or a number."""
    match = _NORMC.fullmatch((text or "").strip())
    try:
        if match:
            return SpeedFactor(*map(float, match[1].split(",")))
        return SpeedFactor(float(text or 1.0), float(deviation or 0.1))
    except (TypeError, ValueError):  # another of SUMO's distributions
        return SpeedFactor()


def read_mix(mix: ET.Element, kinds: Mapping[str, ET.Element]) -> dict[str, float]:
    """Returns the probability of each type of a vTypeDistribution, by id, as SUMO reads it."""
    names = mix.get("vTypes", "").split()
    given = mix.get("probabilities", "").split()
    named = dict(zip(names, map(float, given), strict=False)) if given else {}
    for name in names:
        named.setdefault(name, float(kinds[name].get("probability", "1")) if name in kinds else 1.0)
    return named | {kind.get("id", ""): float(kind.get("probability", "1")) for kind in mix.findall("vType")}


def heavy_mix_share(mix: ET.Element, kinds: Mapping[str, ET.Element]) -> float:
    """Returns the share of heavy types in a vTypeDistribution."""
    probabilities = read_mix(mix, kinds)
    heavy = add_in_order(p for name, p in probabilities.items() if is_heavy(kinds.get(name)))
    return heavy / (add_in_order(probabilities.values()) or 1.0)


def _vary_type(kind: ET.Element, draw: TypeDraw, cut: float) -> list[Edit]:
    edits = [] if draw.sigma is None else [set_attribute(kind, "sigma", str(draw.sigma))]
    edits += _vary_following(kind, draw)
    if "speedDev" in kind.attrib:  # it would override the deviation in speedFactor
        edits.append(set_attribute(kind, "speedDev", None))
    return [*edits, set_attribute(kind, "speedFactor", format_speed_factor(draw, cut))]


def _vary_following(kind: ET.Element, draw: TypeDraw) -> list[Edit]:
    defaults = following_defaults(kind.get("vClass", DEFAULT_CLASS))
    strongest = float(kind.get("emergencyDecel", defaults.emergency_decel))
    edits = []
    for name, attribute in _ATTRIBUTES.items():
        factor = getattr(draw, name)
        if factor is None:
            continue
        own = float(kind.get(attribute, getattr(defaults, name)))
        value = own * factor
        if name == "decel":
            value = min(value, max(strongest, own))
        elif name == "tau":
            value = max(value, min(MIN_TAU_S, own))
        edits.append(set_attribute(kind, attribute, str(round(value, DECIMALS))))
    return edits


def _shift_mix(mix: ET.Element, kinds: Mapping[str, ET.Element], factor: float) -> dict[str, float]:
    heavy, light = mix_factors(heavy_mix_share(mix, kinds), factor)
    return {
        name: round(own * (heavy if is_heavy(kinds.get(name)) else light), SHARE_DECIMALS)
        for name, own in read_mix(mix, kinds).items()
    }


def _write_mix(mix: ET.Element, probabilities: Mapping[str, float]) -> list[Edit]:
    nested = mix.findall("vType")
    edits = [set_attribute(kind, "probability", str(probabilities[kind.get("id", "")])) for kind in nested]
    names = mix.get("vTypes", "").split()
    if names:
        edits.append(set_attribute(mix, "probabilities", " ".join(str(probabilities[name]) for name in names)))
    return edits
