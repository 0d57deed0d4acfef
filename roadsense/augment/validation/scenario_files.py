"""Writes a draw of a base scenario as files."""

import math
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.variations import FlowDraw, Variation
from roadsense.augment.edits.network_files import speed_share, write_wet_network
from roadsense.augment.edits.vehicles import (
    CAR_ID,
    MAX_CARS,
    Edit,
    set_attribute,
    shift_seconds,
    vary_convoy,
    vary_types,
)
from roadsense.scenarios.flows import find_rate_attribute, format_scaled_rate
from roadsense.scenarios.records import CONFIG_NAME
from roadsense.scenarios.route_files import Files, sort_by_departure, type_of
from roadsense.scenarios.scenario import background_vehicles, convoy_cars, place_in
from roadsense.utils.safe_xml import write_xml

AT_LIMIT = 0.8
"""A slow driver may want less than a departSpeed above this share of the lane's limit."""

SPREAD = 3.5
"""Departures are slow enough for drivers this many standard deviations below the mean speedFactor."""

_SPEED_DECIMALS = 2


def write_scenario(base: Base, variation: Variation, folder: Path) -> tuple[Edit, ...]:
    """Writes a draw of a base as a folder that plain `sumo -c` runs; returns the differences."""
    routes, edits = vary_routes(base, variation)
    config = base.read_config()
    edits += _write_files(base, routes, folder, variation.levels["friction"])
    edits.append(_vary_seed(config, variation.sumo_seed))
    write_xml(config, folder / CONFIG_NAME)
    return tuple(edits)


def write_unvaried(base: Base, folder: Path) -> Path:
    """Writes a base as a scenario without any variation; returns its `.sumocfg`."""
    _write_files(base, base.read_routes(), folder, 1.0)
    write_xml(base.read_config(), folder / CONFIG_NAME)
    return folder / CONFIG_NAME


def _write_files(base: Base, routes: Files, folder: Path, friction: float) -> list[Edit]:
    scenario, source = base.scenario, base.scenario.config_path.parent
    for path in scenario.additional_paths:
        _copy(path, folder / place_in(source, path))
    for name, root in routes:
        sort_by_departure(root)
        write_xml(root, folder / name)
    return _write_network(scenario.network_path, folder / place_in(source, scenario.network_path), friction)


def vary_routes(base: Base, variation: Variation) -> tuple[list[tuple[Path, ET.Element]], list[Edit]]:
    """Returns a base's route files with a draw written into them, by path from its folder, and the differences."""
    routes, edits = base.read_routes(), []
    roots = [root for _, root in routes]
    for root in roots:
        edits += _vary_background(root, base, variation)
    edits += vary_convoy(roots, convoy_cars(roots, base.scenario), variation)
    edits += _slow_departures(roots, base, variation)
    return routes, edits


def _vary_background(root: ET.Element, base: Base, variation: Variation) -> list[Edit]:
    edits = []
    for flow in root.findall("flow"):
        if flow.get("id", "") in variation.flows:
            edits += _vary_flow(flow, variation.flows[flow.get("id", "")])
    edits += vary_types(root, variation, base.held_types)
    for vehicle in background_vehicles(root, base.scenario):
        if vehicle.get("id", "") in variation.flows:
            edits.append(shift_seconds(vehicle, "depart", variation.flows[vehicle.get("id", "")].shift_s))
    return edits


def _vary_flow(flow: ET.Element, draw: FlowDraw) -> list[Edit]:
    rate = format_scaled_rate(flow, draw.density * draw.share)
    edit = set_attribute(flow, find_rate_attribute(flow), rate)
    # The end moves with the begin, else a short flow would lose vehicles by its shift.
    names = ("begin", "end") if "end" in flow.attrib else ("begin",)
    return [edit, *(shift_seconds(flow, name, draw.shift_s) for name in names)]


def _slow_departures(roots: Sequence[ET.Element], base: Base, variation: Variation) -> list[Edit]:
    # No vehicle can depart at a speed that needs a dry road or a faster driver.
    share = speed_share(variation.levels["friction"])
    first_mps = base.depart_limits_mps.get(base.scenario.convoy_ids[-1], math.inf)
    limits_mps = {CAR_ID.format(number): first_mps for number in range(2, MAX_CARS + 1)}
    limits_mps.update(base.depart_limits_mps)
    held = [kind for root in roots for kind in root.iter("vType") if kind.get("id") in base.held_types]
    highest_mps = {kind.get("id"): float(kind.get("maxSpeed", "inf")) for kind in held}
    edits = []
    for element in (one for root in roots for tag in ("vehicle", "trip", "flow") for one in root.findall(tag)):
        try:
            own_mps = float(element.get("departSpeed", "0"))
        except ValueError:  # `desired` and similar words already respect friction and drivers
            continue
        limit_mps, draw = limits_mps.get(element.get("id", "")), variation.types.get(type_of(element))
        slower_mps = min(own_mps * share, highest_mps.get(type_of(element), math.inf))
        if limit_mps is not None and draw is not None and own_mps > AT_LIMIT * limit_mps:
            slowest = max(draw.speed_mean - SPREAD * draw.speed_dev, draw.speed_mean - variation.speed_cut)
            slower_mps = min(slower_mps, limit_mps * share * slowest)
        if slower_mps < own_mps:
            edits.append(set_attribute(element, "departSpeed", str(round(slower_mps, _SPEED_DECIMALS))))
    return edits


def _write_network(network: Path, target: Path, friction: float) -> list[Edit]:
    if friction == 1.0:
        _copy(network, target)
        return []
    target.parent.mkdir(parents=True, exist_ok=True)
    write_wet_network(network, target, friction)
    return [Edit("lane", "*", "friction", "x 1", f"x {friction}")]


def _vary_seed(config: ET.Element, seed: int) -> Edit:
    element = config.find(".//seed")
    if element is None:
        element = ET.SubElement(ET.SubElement(config, "random_number"), "seed")
    return set_attribute(element, "value", str(seed))


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, target)
