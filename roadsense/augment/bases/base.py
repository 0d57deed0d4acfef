"""Base scenarios: read and checked for variation."""

import copy
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from roadsense.augment.bases.convoy_naming import ConvoyNaming, rename_convoy
from roadsense.augment.bases.files import read_base_config, read_base_routes
from roadsense.augment.bases.notes import list_notes
from roadsense.augment.bases.supported import add_supported_variations
from roadsense.augment.draws.variations import Traffic, VariationRanges
from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import HOUR_S, read_rate_vph, read_seconds, why_uncountable
from roadsense.scenarios.route_files import define_default_type, type_of
from roadsense.scenarios.scenario import (
    Scenario,
    background_vehicles,
    check_inputs,
    convoy_cars,
    describe_scenario,
    find_scenarios,
)
from roadsense.utils.files import hash_file


@dataclass(frozen=True)
class Base:
    """A base scenario that was read and can be varied.

    Attributes:
        name: name of its folder.
        scenario: its files; the convoy's ids are those it has in the scenarios to be written: V001, V002, ...
        traffic: what of it can be varied.
        notes: what can't be varied or is left out, and why; one sentence each.
        routes: its route files as read, by path from its folder; `read_routes` gives copies.
        config: its configuration as read; `read_config` gives copies.
    """

    name: str
    scenario: Scenario
    traffic: Traffic
    notes: tuple[str, ...]
    routes: tuple[tuple[Path, ET.Element], ...] = field(repr=False, compare=False)
    config: ET.Element = field(repr=False, compare=False)

    def read_routes(self) -> list[tuple[Path, ET.Element]]:
        """Returns each route file's path from the base's folder, and a tree of it to change.

        Additional files that hold vehicles, flows or types, or that lost a detector, are among them. The trees keep
        the comments; the convoy's cars are V001 (the ego), V002, ... in them.
        """
        return [(path, copy.deepcopy(root)) for path, root in self.routes]

    def read_config(self) -> ET.Element:
        """Returns a tree of the configuration to change, without the options that a scenario may not set."""
        return copy.deepcopy(self.config)

    def hash_files(self) -> dict[str, str]:
        """Returns the SHA-256 of each of its files, by path from its folder."""
        scenario = self.scenario
        paths = (scenario.network_path, *scenario.route_paths, *scenario.additional_paths, scenario.config_path)
        source = scenario.config_path.parent
        return {path.relative_to(source).as_posix(): hash_file(path) for path in paths}


def read_bases(base_dir: Path, ranges: VariationRanges, naming: ConvoyNaming | None = None) -> list[Base]:
    """Returns the base scenarios below a folder, sorted by name: one for each folder with a `.sumocfg`.

    Args:
        base_dir: the folder.
        ranges: what is to be varied.
        naming: which cars are the convoy, in every base; None: those called V001, V002, ...

    Raises:
        ScenarioError: if there is none, two share a name, or one cannot be varied; naming file and reason.
    """
    bases = [_read_base(path.resolve(), ranges, naming) for path in find_scenarios(base_dir)]
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


def _read_base(config_path: Path, ranges: VariationRanges, naming: ConvoyNaming | None) -> Base:
    config, options = read_base_config(config_path)
    inputs = check_inputs(config_path, config)
    files, detectors = read_base_routes(inputs)
    roots = [root for _, root in files]
    if naming:
        rename_convoy(config_path, roots, naming)
    scenario = describe_scenario(config_path, inputs, roots)
    notes = [*list_notes(scenario, roots, options, detectors)]
    if define_default_type(roots):
        notes.append(f"{files[0][0].name} gets SUMO's default vType written out, for the vehicles that name none.")
    _check_departure(scenario, roots, ranges)
    routes = tuple((path.relative_to(config_path.parent), root) for path, root in files)
    traffic, more = add_supported_variations(_read_traffic(scenario, roots), scenario, roots, ranges)
    return Base(scenario.name, scenario, traffic, (*notes, *more), routes, config)


def _check_departure(scenario: Scenario, roots: Sequence[ET.Element], ranges: VariationRanges) -> None:
    depart_s = min(read_seconds(car, "depart") for car in convoy_cars(roots, scenario))
    if depart_s + ranges.convoy_shift_s[0] < 0:
        raise ScenarioError(
            f"{scenario.route_paths[0]}: expected the convoy to depart at "
            f"{-ranges.convoy_shift_s[0]:g} s or later, so that convoy_shift_s leaves it positive; "
            f"got {depart_s:g} s. Move the convoy or narrow the range."
        )


def _read_traffic(scenario: Scenario, roots: Sequence[ET.Element]) -> Traffic:
    flows = [flow for root in roots for flow in root.findall("flow") if not why_uncountable(flow)]
    singles = [car for root in roots for car in background_vehicles(root, scenario) if not why_uncountable(car)]
    headways_s = {flow.get("id", ""): HOUR_S / read_rate_vph(flow) for flow in flows}
    types = {kind.get("id", "") for root in roots for kind in root.iter("vType")}
    kinds = {name: {name} for name in types} | _distributions(roots)
    convoy = {car.get("id", ""): type_of(car) for car in convoy_cars(roots, scenario)}
    unknown = sorted(set(convoy.values()) - set(kinds))
    if unknown:
        raise ScenarioError(
            f"{scenario.route_paths[0]}: expected each car of the convoy to have a vType of this scenario, one of "
            f"{sorted(kinds)}, got {unknown}. Define the type here."
        )
    ahead = {kind for name, used in convoy.items() if name != scenario.ego_id for kind in kinds[used]}
    ego_types = kinds[convoy[scenario.ego_id]] & types
    return Traffic(
        headways_s=headways_s | {car.get("id", ""): math.inf for car in singles},
        types=tuple(sorted(types)),
        convoy_types=frozenset(ego_types | ahead & types),
        ego_types=frozenset(ego_types - ahead),
    )


def _distributions(roots: Sequence[ET.Element]) -> dict[str, set[str]]:
    found = [element for root in roots for element in root.iter("vTypeDistribution")]
    return {
        element.get("id", ""): {
            *element.get("vTypes", "").split(),
            *(kind.get("id", "") for kind in element.iter("vType")),
        }
        for element in found
    }
