"""Base scenarios: what each offers for variation."""

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

from roadsense.convoy_naming import ConvoyNaming
from roadsense.errors import ScenarioError
from roadsense.files import hash_file
from roadsense.flows import HOUR_S, read_rate_vph, read_seconds
from roadsense.scenario import Scenario, find_scenarios, open_scenario
from roadsense.scenario_checks import read_xml
from roadsense.variations import Traffic, VariationRanges


@dataclass(frozen=True)
class Base:
    """A base scenario, read and found fit for variation.

    Attributes:
        name: name of its folder.
        scenario: its files.
        traffic: what it offers for variation.
        notes: what can't be varied or is left out, and why; one sentence each.
    """

    name: str
    scenario: Scenario
    traffic: Traffic
    notes: tuple[str, ...] = ()

    def read_routes(self) -> list[tuple[Path, ET.Element]]:
        """Returns the files that hold vehicles, flows or types: path from the base's folder, and a tree to change."""
        source = self.scenario.config_path.parent
        return [(path.relative_to(source), read_xml(path, "routes")) for path in self.scenario.route_paths]

    def read_config(self) -> ET.Element:
        """Returns a tree of the configuration to change."""
        return read_xml(self.scenario.config_path, "configuration")

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


def read_bases(base_dir: Path, ranges: VariationRanges, naming: ConvoyNaming | None = None) -> list[Base]:
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
    departs = [read_seconds(element, "depart") for root in roots for element in vehicles(root, scenario, True)]
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
    singles = [vehicle.get("id", "") for root in roots for vehicle in vehicles(root, scenario, False)]
    types = tuple(sorted(kind.get("id", "") for root in roots for kind in root.iter("vType")))
    convoy = {car.get("id", ""): car.get("type", "") for root in roots for car in vehicles(root, scenario, True)}
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


def vehicles(root: ET.Element, scenario: Scenario, in_convoy: bool) -> list[ET.Element]:
    """Returns the vehicles and trips of a route file that are in the convoy, or those that are not."""
    found = [*root.iter("vehicle"), *root.iter("trip")]
    return [vehicle for vehicle in found if (vehicle.get("id") in scenario.convoy_ids) == in_convoy]
