"""A scenario's files as trees: what a base offers for variation, and a draw of it written as files."""

import hashlib
import math
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from roadsense.errors import ScenarioError
from roadsense.flows import HOUR_S, find_rate_attribute, format_scaled_rate, read_rate_vph, read_seconds
from roadsense.scenario import Scenario, find_scenarios, open_scenario, read_xml
from roadsense.variations import (
    DECIMALS,
    SECONDS_DECIMALS,
    FlowDraw,
    Traffic,
    TypeDraw,
    Variation,
    VariationRanges,
)

CONFIG_NAME = "scenario.sumocfg"


@dataclass(frozen=True)
class Edit:
    """One attribute that differs between a base and a scenario drawn from it; None: there is none."""

    element: str
    id: str
    attribute: str
    original: str | None
    new: str | None


@dataclass(frozen=True)
class Base:
    """A base scenario, read and found fit for variation.

    Attributes:
        name: name of its folder.
        scenario: its files.
        traffic: what it offers for variation.
    """

    name: str
    scenario: Scenario
    traffic: Traffic

    def hash_files(self) -> dict[str, str]:
        """Returns the SHA-256 of each of its files, by path from its folder."""
        scenario = self.scenario
        paths = (
            scenario.network_path,
            *scenario.route_paths,
            *scenario.additional_paths,
            scenario.config_path,
        )
        source = scenario.config_path.parent
        return {path.relative_to(source).as_posix(): hash_file(path) for path in paths}


def read_bases(base_dir: Path, ranges: VariationRanges) -> list[Base]:
    """Returns the base scenarios below a folder, sorted by name: one for each folder with a `.sumocfg`.

    Raises:
        ScenarioError: if there is none, two share a name, or one cannot be varied; naming file and reason.
    """
    bases = [_read_base(path, ranges) for path in find_scenarios(base_dir)]
    names = [base.name for base in bases]
    unfit = [name for name in names if not re.fullmatch(r"\w+", name)]
    if unfit:
        raise ScenarioError(f"{base_dir}: expected folder names of letters, digits and _, got {unfit}. Rename them.")
    if len(set(names)) < len(names):
        raise ScenarioError(
            f"{base_dir}: expected one .sumocfg in each folder and folders of different names, "
            f"got {names}. Keep one, rename the rest."
        )
    return sorted(bases, key=lambda base: base.name)


def _read_base(config_path: Path, ranges: VariationRanges) -> Base:
    scenario = open_scenario(config_path)
    roots = [read_xml(path, "routes") for path in scenario.route_paths]
    departs = [read_seconds(element, "depart") for root in roots for element in _vehicles(root, scenario, True)]
    if min(departs) + ranges.convoy_shift_s[0] < 0:
        raise ScenarioError(
            f"{scenario.route_paths[0]}: expected the convoy to depart at "
            f"{-ranges.convoy_shift_s[0]:g} s or later, so that convoy_shift_s leaves it positive; "
            f"got {min(departs):g} s. Move the convoy or narrow the range."
        )
    return Base(scenario.name, scenario, _read_traffic(scenario, roots))


def _read_traffic(scenario: Scenario, roots: list[ET.Element]) -> Traffic:
    path = scenario.route_paths[0]
    flows = {flow.get("id", ""): HOUR_S / read_rate_vph(flow) for root in roots for flow in root.iter("flow")}
    if not flows:
        raise ScenarioError(f"{path}: expected a <flow> of background traffic, found none. Add one.")
    singles = [vehicle.get("id", "") for root in roots for vehicle in _vehicles(root, scenario, False)]
    types = tuple(sorted(kind.get("id", "") for root in roots for kind in root.iter("vType")))
    convoy = {car.get("id", ""): car.get("type", "") for root in roots for car in _vehicles(root, scenario, True)}
    unknown = sorted(set(convoy.values()) - set(types))
    if unknown:
        raise ScenarioError(
            f"{path}: expected each car of the convoy to have a vType of this file, one of "
            f"{list(types)}, got {unknown}. Define the type here."
        )
    others = {kind for name, kind in convoy.items() if name != scenario.ego_id}
    return Traffic(
        headways_s=flows | dict.fromkeys(singles, math.inf),
        types=types,
        convoy_types=frozenset(convoy.values()),
        ego_types=frozenset({convoy[scenario.ego_id]} - others),
    )


def write_scenario(base: Base, variation: Variation, folder: Path) -> tuple[Edit, ...]:
    """Writes a draw of a base as a folder that plain `sumo -c` runs; returns what differs."""
    scenario = base.scenario
    source = scenario.config_path.parent
    for path in (scenario.network_path, *scenario.additional_paths):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    edits = []
    for path in scenario.route_paths:
        root = read_xml(path, "routes")
        edits += _vary_routes(root, variation, scenario)
        _write_xml(root, folder / path.relative_to(source))
    config = read_xml(scenario.config_path, "configuration")
    edits.append(_vary_seed(config, variation.sumo_seed))
    _write_xml(config, folder / CONFIG_NAME)
    return tuple(edits)


def _vary_routes(root: ET.Element, variation: Variation, scenario: Scenario) -> list[Edit]:
    edits = []
    for flow in root.iter("flow"):
        edits += _vary_flow(flow, variation.flows[flow.get("id", "")])
    for kind in root.iter("vType"):
        edits += _vary_type(kind, variation.types[kind.get("id", "")], variation.speed_cut)
    for vehicle in _vehicles(root, scenario, in_convoy=False):
        edits.append(_shift(vehicle, "depart", variation.flows[vehicle.get("id", "")].shift_s))
    for vehicle in _vehicles(root, scenario, in_convoy=True):
        edits.append(_shift(vehicle, "depart", variation.convoy_shift_s))
    _sort_by_departure(root)
    return edits


def _vary_flow(flow: ET.Element, draw: FlowDraw) -> list[Edit]:
    rate = _set(flow, find_rate_attribute(flow), format_scaled_rate(flow, draw.density))
    # The end moves with the begin, or a short flow would lose vehicles to its shift.
    names = ("begin", "end") if "end" in flow.attrib else ("begin",)
    return [rate, *(_shift(flow, name, draw.shift_s) for name in names)]


def _vary_type(kind: ET.Element, draw: TypeDraw, cut: float) -> list[Edit]:
    edits = [] if draw.sigma is None else [_set(kind, "sigma", str(draw.sigma))]
    if "speedDev" in kind.attrib:  # it would win over the deviation within speedFactor
        edits.append(_set(kind, "speedDev", None))
    return [*edits, _set(kind, "speedFactor", format_speed_factor(draw, cut))]


def format_speed_factor(draw: TypeDraw, cut: float) -> str:
    """Returns a type's speedFactor as SUMO reads it: `normc(mean,dev,min,max)`."""
    low, high = round(draw.speed_mean - cut, DECIMALS), round(draw.speed_mean + cut, DECIMALS)
    return f"normc({draw.speed_mean},{draw.speed_dev},{low},{high})"


def _vary_seed(config: ET.Element, seed: int) -> Edit:
    element = config.find(".//seed")
    if element is None:
        element = ET.SubElement(ET.SubElement(config, "random_number"), "seed")
    return _set(element, "value", str(seed))


def _shift(element: ET.Element, attribute: str, shift_s: float) -> Edit:
    return _set(element, attribute, f"{read_seconds(element, attribute) + shift_s:.{SECONDS_DECIMALS}f}")


def _set(element: ET.Element, attribute: str, new: str | None) -> Edit:
    edit = Edit(element.tag, element.get("id", ""), attribute, element.attrib.pop(attribute, None), new)
    if new is not None:
        element.set(attribute, new)
    return edit


def _vehicles(root: ET.Element, scenario: Scenario, in_convoy: bool) -> list[ET.Element]:
    found = [*root.iter("vehicle"), *root.iter("trip")]
    return [vehicle for vehicle in found if (vehicle.get("id") in scenario.convoy_ids) == in_convoy]


def _sort_by_departure(root: ET.Element) -> None:
    # SUMO reads route files as it goes and drops what departs before something it has read already.
    def _departure(element: ET.Element) -> float:
        attribute = "begin" if "begin" in element.attrib else "depart"
        return read_seconds(element, attribute) if attribute in element.attrib else -math.inf

    root[:] = sorted(root, key=_departure)


def _write_xml(root: ET.Element, path: Path) -> None:
    ET.indent(root, "    ")
    path.parent.mkdir(parents=True, exist_ok=True)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)


def hash_file(path: Path) -> str:
    """Returns the SHA-256 of a file's content, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
