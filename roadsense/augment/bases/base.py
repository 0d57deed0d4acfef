"""Reads base scenarios and checks whether they can be varied."""

import copy
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from roadsense.augment.bases.convoy_naming import ConvoyNaming, rename_convoy, tell_own_names
from roadsense.augment.bases.demand import add_traffic, find_limits, simplify_demand, write_departures
from roadsense.augment.bases.supported import add_supported_variations, find_held_types, list_notes, read_depart_limits
from roadsense.augment.draws.ranges import Range, VariationRanges
from roadsense.augment.draws.traffic import Traffic
from roadsense.augment.edits.vehicle_defaults import CLASSES_LEFT_ALONE, WITHOUT_SIGMA
from roadsense.augment.edits.vehicles import CAR_ID
from roadsense.errors import ScenarioError
from roadsense.scenarios.checks import CONFIG_ROOTS, raise_all, read_xml
from roadsense.scenarios.flows import HOUR_S, read_rate_vph, why_uncountable
from roadsense.scenarios.left_out import leave_out_options, note_left_out, rename_options
from roadsense.scenarios.route_files import define_default_type, read_route_files, type_of
from roadsense.scenarios.scenario import (
    OUTSIDE,
    Scenario,
    background_vehicles,
    check_inputs,
    convoy_cars,
    describe_scenario,
    find_scenarios,
    name_inputs,
    place_in,
)
from roadsense.utils.files import hash_file
from roadsense.utils.workspace import Folders, find_folders

HORIZON_S = 60.0
"""How long the ego must stay on the road after its departure: an episode of 50 s, and a margin."""


@dataclass(frozen=True)
class Base:
    """A base scenario that was read and can be varied.

    Attributes:
        name: name of its folder, as `name_base` writes it.
        scenario: description of its files; the convoy's ids are those of the generated scenarios: V001, V002, ...
        traffic: what can be varied in it.
        notes: sentences on what can't be varied or is left out, and why.
        routes: trees of its route files by path from its folder; `read_routes` gives copies.
        config: tree of its configuration; `read_config` gives copies.
        limits: lowest and highest value that the base allows, by name of a level.
        horizon_s: least time of the ego on the road in its scenarios [s].
        held_types: types of convoy cars whose maxSpeed is varied, because speedFactor alone would change nothing.
        warnings: kinds of SUMO warnings that the unvaried base also causes.
        depart_limits_mps: speed limit in m/s at the departure of each vehicle or flow with a departSpeed, by id.
        included: absolute paths of files that its route and additional files include.
    """

    name: str
    scenario: Scenario
    traffic: Traffic
    notes: tuple[str, ...]
    routes: tuple[tuple[Path, ET.Element], ...] = field(repr=False, compare=False)
    config: ET.Element = field(repr=False, compare=False)
    limits: Mapping[str, Range] = field(default_factory=dict)
    horizon_s: float = HORIZON_S
    held_types: frozenset[str] = frozenset()
    warnings: frozenset[str] = frozenset()
    depart_limits_mps: Mapping[str, float] = field(default_factory=dict)
    included: tuple[Path, ...] = ()

    def narrow(self, ranges: VariationRanges) -> VariationRanges:
        """Returns ranges within the base's limits."""
        own = {
            name: tuple(min(max(end, low), high) for end in getattr(ranges, name))
            for name, (low, high) in self.limits.items()
        }
        changed: dict[str, Any] = {name: span for name, span in own.items() if span != getattr(ranges, name)}
        return replace(ranges, **changed) if changed else ranges

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
        return {place_in(source, path).as_posix(): hash_file(path) for path in (*paths, *self.included)}


def read_bases(
    base_dir: Folders,
    ranges: VariationRanges,
    naming: ConvoyNaming | None = None,
    hold_lane: bool = True,
    add_vph: float = 0.0,
) -> list[Base]:
    """Returns the base scenarios below folders, sorted by name: one for each folder with a `.sumocfg`.

    Args:
        base_dir: folder or folders of base scenarios.
        ranges: ranges of what is varied.
        naming: cars of the convoy, the same ids in every base; None: V001, V002, ...
        hold_lane: whether the convoy's cars change lane only where their route needs it.
        add_vph: rate of traffic to add to each base [vehicles/h]; 0: none.

    Raises:
        ScenarioError: if there is none, two share a name, or some cannot be varied; it names every file and reason.
    """
    paths = [path.resolve() for path in find_scenarios(*find_folders(base_dir))]
    _check_names(paths)
    bases, problems = [], []
    for path in paths:
        try:
            bases.append(_read_base(path, ranges, naming, hold_lane, add_vph))
        except ScenarioError as error:
            problems.append(error)
    raise_all(problems)
    return sorted(bases, key=lambda base: base.name)


def _check_names(paths: Sequence[Path]) -> None:
    names = [name_base(path) for path in paths]
    twice = [str(path) for path, name in zip(paths, names, strict=True) if names.count(name) > 1]
    if twice:
        raise ScenarioError(
            f"Expected one .sumocfg in each folder and folders of different names (by letters, digits and "
            f"_), got {twice}. Keep one configuration in each folder and move or rename the rest."
        )


def name_base(config_path: Path) -> str:
    """Returns the name of a base in those of its scenarios: its folder's, with `_` for all but letters and digits."""
    return re.sub(r"\W+", "_", config_path.parent.name).strip("_") or "base"


def _read_base(
    config_path: Path, ranges: VariationRanges, naming: ConvoyNaming | None, hold_lane: bool, add_vph: float
) -> Base:
    config = read_xml(config_path, CONFIG_ROOTS, keep_comments=True)
    rename_options(config)
    options = leave_out_options(config, only_writing=False)
    inputs = check_inputs(config_path, config, anywhere=True)
    name_inputs(config, inputs, config_path.parent)
    included: list[Path] = []
    files, elements = read_route_files(*inputs[1:], of_base=True, network_path=inputs[0], included=included)
    roots = [root for _, root in files]
    write_departures(config, roots)
    if naming:
        rename_convoy(config_path, roots, naming)
    scenario = describe_scenario(config_path, inputs, roots)
    notes = note_left_out(options, elements)
    if included:
        names = ", ".join(path.name for path in included)
        notes.append(f"What other files include is written into them: {names}.")
    notes += _note_outside(config_path.parent, (inputs[0], *inputs[1], *inputs[2]))
    scenario, renamed = _number_convoy(scenario, roots)
    notes += [*renamed, *simplify_demand(config, roots, scenario, hold_lane)]
    if add_vph:
        notes.append(add_traffic(config, roots, scenario, add_vph))
    notes += list_notes(scenario, roots)
    if define_default_type(roots):
        notes.append(f"{files[0][0].name} gets SUMO's default vType written out, for the vehicles that name none.")
    traffic, more = add_supported_variations(_read_traffic(scenario, roots), scenario, roots, ranges)
    held = find_held_types(traffic, scenario, roots, ranges)
    if held:
        more.append(
            f"maxSpeed of {', '.join(sorted(held))} is varied with speedFactor: it alone sets their speed here."
        )
    limits, narrowed = find_limits(config, convoy_cars(roots, scenario), ranges)
    routes = tuple((place_in(config_path.parent, path), root) for path, root in files)
    return Base(
        name_base(config_path),
        scenario,
        traffic,
        tell_own_names((*notes, *narrowed, *more), naming),
        routes,
        config,
        limits,
        held_types=held,
        included=tuple(included),
        depart_limits_mps=read_depart_limits(roots, scenario.network_path),
    )


def _number_convoy(scenario: Scenario, roots: Sequence[ET.Element]) -> tuple[Scenario, list[str]]:
    # Numbers without a gap: the next free one is the name of a car that a draw adds.
    old = scenario.convoy_ids
    new = tuple(CAR_ID.format(number) for number in range(1, len(old) + 1))
    if old == new:
        return scenario, []
    rename_convoy(scenario.config_path, roots, ConvoyNaming(old[0], old[1:]))
    note = f"The convoy's cars {', '.join(old)} are {', '.join(new)} in the scenarios."
    return replace(scenario, convoy_ids=new), [note]


def _note_outside(folder: Path, paths: Sequence[Path]) -> list[str]:
    names = [path.name for path in paths if not path.is_relative_to(folder)]
    if not names:
        return []
    return [f"Files from other folders are copied into each scenario, into {OUTSIDE}: {', '.join(names)}."]


def _read_traffic(scenario: Scenario, roots: Sequence[ET.Element]) -> Traffic:
    flows = [flow for root in roots for flow in root.findall("flow") if not why_uncountable(flow)]
    singles = [car for root in roots for car in background_vehicles(root, scenario) if not why_uncountable(car)]
    headways_s = {flow.get("id", ""): HOUR_S / read_rate_vph(flow) for flow in flows}
    models = {kind.get("id", ""): kind for root in roots for kind in root.iter("vType")}
    types = {name for name, kind in models.items() if kind.get("vClass") not in CLASSES_LEFT_ALONE}
    kinds = {name: {name} for name in models} | _distributions(roots)
    convoy = {car.get("id", ""): type_of(car) for car in convoy_cars(roots, scenario)}
    unknown = sorted(set(convoy.values()) - set(kinds))
    if unknown:
        raise ScenarioError(
            f"{scenario.config_path}: expected each car of the convoy to have a vType of this scenario, one of "
            f"{sorted(kinds)}, got {unknown}. Define the type here."
        )
    ahead = {kind for name, used in convoy.items() if name != scenario.ego_id for kind in kinds[used]}
    ego_types = kinds[convoy[scenario.ego_id]] & types
    return Traffic(
        headways_s=headways_s | {car.get("id", ""): math.inf for car in singles},
        types=tuple(sorted(types)),
        convoy_types=frozenset(ego_types | ahead & types),
        ego_types=frozenset(ego_types - ahead),
        types_without_sigma=frozenset(name for name in types if models[name].get("carFollowModel") in WITHOUT_SIGMA),
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
