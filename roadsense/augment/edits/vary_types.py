"""Writes a draw into vehicle types: imperfection, speeds, car following, friction, and their mix."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Collection, Mapping
from typing import NamedTuple

from roadsense.augment.draws.traffic import SHARE_DECIMALS, mix_factors
from roadsense.augment.draws.variations import DECIMALS, TypeDraw, Variation
from roadsense.augment.edits.edits import Edit, set_attribute, set_param
from roadsense.augment.edits.vehicle_defaults import DEFAULT_CLASS, HEAVY_CLASSES, following_defaults
from roadsense.utils.add_in_order import add_in_order

MIN_TAU_S = 0.1
"""A time headway below the step length makes cars collide."""

_ATTRIBUTES = {"tau": "tau", "accel": "accel", "decel": "decel", "min_gap": "minGap"}
FRICTION_PARAMS = {"has.friction.device": "true", "device.friction.stdDev": "0"}
"""Without this device SUMO ignores friction. Its noise is 0, so that all vehicles have the same road."""

_NORMC = re.compile(r"normc\(([^)]*)\)")


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
    """Returns a type's speedFactor; SUMO's default for any distribution other than `normc` or a number."""
    match = _NORMC.fullmatch(text or "")
    if match:
        return SpeedFactor(*map(float, match[1].split(",")))
    try:
        return SpeedFactor(float(text or 1.0), float(deviation or 0.1))
    except ValueError:  # another of SUMO's distributions
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
