"""A draw of a base scenario, written as files."""

import shutil
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from roadsense.bases import Base, vehicles
from roadsense.flows import find_rate_attribute, format_scaled_rate, read_seconds
from roadsense.route_files import sort_by_departure
from roadsense.scenario import Scenario
from roadsense.variations import DECIMALS, SECONDS_DECIMALS, FlowDraw, TypeDraw, Variation
from roadsense.xml_files import write_xml

CONFIG_NAME = "scenario.sumocfg"


@dataclass(frozen=True)
class Edit:
    """One attribute that differs between a base and a scenario drawn from it; None: there is none."""

    element: str
    id: str
    attribute: str
    original: str | None
    new: str | None


def write_scenario(base: Base, variation: Variation, folder: Path) -> tuple[Edit, ...]:
    """Writes a draw of a base as a folder that plain `sumo -c` runs; returns what differs."""
    scenario = base.scenario
    source = scenario.config_path.parent
    for path in (scenario.network_path, *scenario.additional_paths):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    edits = []
    for name, root in base.read_routes():
        edits += _vary_routes(root, variation, scenario)
        write_xml(root, folder / name)
    config = base.read_config()
    edits.append(_vary_seed(config, variation.sumo_seed))
    write_xml(config, folder / CONFIG_NAME)
    return tuple(edits)


def _vary_routes(root: ET.Element, variation: Variation, scenario: Scenario) -> list[Edit]:
    edits = []
    for flow in (flow for flow in root.findall("flow") if flow.get("id", "") in variation.flows):
        edits += _vary_flow(flow, variation.flows[flow.get("id", "")])
    for kind in root.iter("vType"):
        edits += _vary_type(kind, variation.types[kind.get("id", "")], variation.speed_cut)
    for vehicle in vehicles(root, scenario, in_convoy=False):
        if vehicle.get("id", "") in variation.flows:
            edits.append(_shift(vehicle, "depart", variation.flows[vehicle.get("id", "")].shift_s))
    for vehicle in vehicles(root, scenario, in_convoy=True):
        edits.append(_shift(vehicle, "depart", variation.convoy_shift_s))
    sort_by_departure(root)
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
