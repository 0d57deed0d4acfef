"""What can be varied in a base beyond its flows and types, and notes for the user on what can't, or is left out."""

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.traffic import Traffic, convoy_sizes
from roadsense.augment.edits.network_files import read_edges
from roadsense.augment.edits.vehicle_defaults import CLASSES_LEFT_ALONE
from roadsense.augment.edits.vehicles import heavy_mix_share, is_heavy, measure_room, read_positions
from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import read_seconds, why_uncountable
from roadsense.scenarios.route_files import is_number, single_vehicles, type_of
from roadsense.scenarios.scenario import Scenario, convoy_cars


def add_supported_variations(
    traffic: Traffic, scenario: Scenario, roots: Sequence[ET.Element], ranges: VariationRanges
) -> tuple[Traffic, list[str]]:
    """Returns what can be varied in a base beyond flows and types, and notes on what can't.

    Args:
        traffic: flows and types of the base.
        scenario: description of the base's files.
        roots: trees of its route files.
        ranges: ranges of what is varied; the notes name only what they hold and the base can't vary.
    """
    kinds = {kind.get("id", ""): kind for root in roots for kind in root.iter("vType")}
    mixes = [mix for root in roots for mix in root.iter("vTypeDistribution")]
    flows = [flow for root in roots for flow in root.findall("flow")]
    heavy = {flow.get("id", "") for flow in flows if is_heavy(kinds.get(flow.get("type", "")))}
    room, why = _convoy_room(convoy_cars(roots, scenario), roots, scenario.network_path)
    supported = replace(
        traffic,
        heavy_flows=frozenset(heavy & traffic.headways_s.keys()),
        has_mixes=any(0.0 < heavy_mix_share(mix, kinds) < 1.0 for mix in mixes),
        most_spacing=room,
    )
    return supported, [*_note_limits(supported, ranges), *([why] if why else [])]


def _convoy_room(
    cars: Sequence[ET.Element], roots: Sequence[ET.Element], network_path: Path
) -> tuple[dict[int, float | None], str]:
    # The largest factor on the cars' distances by number of cars, and the reason if there is none.
    fewer: dict[int, float | None] = dict.fromkeys(range(2, len(cars) + 1))
    edges = {_first_edge(car, roots) for car in cars}
    departs = {read_seconds(car, "depart") for car in cars}
    left_alone = "The convoy's distances aren't varied and it gets no further car"
    if len(edges) > 1 or None in edges:
        return fewer, f"{left_alone}: its cars don't start on one edge that they name."
    if len(departs) > 1:
        return fewer, f"{left_alone}: its cars don't depart at one time."
    try:
        read_positions(cars)
    except ScenarioError as error:
        return fewer, f"{left_alone}: {error}"
    edge = edges.pop()
    positions = read_positions(cars)
    others = [_departs_at_m(one) for root in roots for one in root.findall("flow") if _first_edge(one, roots) == edge]
    step_m = (positions[-1] - positions[0]) / (len(positions) - 1)
    free_m = [place - step_m for place in others if place > positions[-1]]
    return dict(measure_room(cars, min([read_edges(network_path, {str(edge)})[str(edge)].length_m, *free_m]))), ""


def read_depart_limits(roots: Sequence[ET.Element], network_path: Path) -> dict[str, float]:
    """Returns the speed limit in m/s at the departure of each vehicle or flow with a departSpeed, by id."""
    elements = [one for root in roots for tag in ("vehicle", "trip", "flow") for one in root.findall(tag)]
    edges = {one.get("id", ""): _first_edge(one, roots) for one in elements if "departSpeed" in one.attrib}
    lanes = read_edges(network_path, {edge for edge in edges.values() if edge})
    return {name: lanes[edge].limit_mps for name, edge in edges.items() if edge in lanes}


def find_held_types(
    traffic: Traffic, scenario: Scenario, roots: Sequence[ET.Element], ranges: VariationRanges
) -> frozenset[str]:
    """Returns the types of convoy cars whose maxSpeed is below any speed that a drawn speedFactor gives them.

    Args:
        traffic: flows and types of the base.
        scenario: description of the base's files.
        roots: trees of its route files.
        ranges: ranges of what is varied.
    """
    names = {edge for car in convoy_cars(roots, scenario) for edge in read_edge_names(car, roots)}
    limits_mps = [edge.limit_mps for edge in read_edges(scenario.network_path, names).values()]
    slowest_mps = ranges.speed_mean[0] * min(limits_mps, default=0.0)
    kinds = [kind for root in roots for kind in root.iter("vType") if kind.get("id") in traffic.convoy_types]
    return frozenset(kind.get("id", "") for kind in kinds if float(kind.get("maxSpeed", "inf")) <= slowest_mps)


def _departs_at_m(flow: ET.Element) -> float:
    try:
        return float(flow.get("departPos", "0"))
    except ValueError:
        return 0.0


def _first_edge(car: ET.Element, roots: Sequence[ET.Element]) -> str | None:
    return next(iter(read_edge_names(car, roots)), None)


def read_edge_names(car: ET.Element, roots: Sequence[ET.Element]) -> list[str]:
    """Returns the edges of a car's route; of a trip only those it names."""
    routes = {route.get("id"): route for root in roots for route in root.findall("route")}
    route = car.find("route") if car.find("route") is not None else routes.get(car.get("route"))
    if route is None:
        return " ".join(car.get(name, "") for name in ("from", "via", "to")).split()
    return route.get("edges", "").split()


def _note_limits(traffic: Traffic, ranges: VariationRanges) -> list[str]:
    notes = []
    if traffic.types_without_sigma and ranges.sigma[0] < ranges.sigma[1]:
        names = ", ".join(sorted(traffic.types_without_sigma))
        notes.append(f"sigma of {names} is not varied: their car-following models (carFollowModel) have none.")
    if not traffic.supports("heavy_share") and ranges.heavy_share != (1.0, 1.0):
        notes.append("The share of heavy vehicles isn't varied: there are no flows of trucks or buses beside others.")
    low, high = ranges.convoy_size
    sizes = convoy_sizes(traffic, ranges)
    if (sizes[0], sizes[-1]) != (low, high):
        counts = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else f"{sizes[0]}"
        notes.append(f"The convoy has {counts} cars, not {low} to {high}: there is no room for others.")
    return notes


_CHOSEN_BY_SUMO = ("random", "free", "random_free")
_PLACES = ("departPos", "departLane", "departSpeed", "arrivalPos", "arrivalLane")
_UNVARIED = ("person", "personFlow", "container", "containerFlow")


def list_notes(scenario: Scenario, roots: Sequence[ET.Element]) -> tuple[str, ...]:
    """Returns what isn't varied and why, in one sentence each.

    Args:
        scenario: files of the base.
        roots: root elements of its route files.
    """
    flows = [flow for root in roots for flow in root.findall("flow")]
    singles = [car for root in roots for car in single_vehicles(root)]
    return (
        *_flows(roots, flows),
        *(f"Left as it is: {reason}" for element in (*flows, *singles) if (reason := why_uncountable(element))),
        *_convoy([car for car in singles if car.get("id") in scenario.convoy_ids], roots),
        *_choices([*flows, *singles]),
        *_people(roots),
        *_other_classes(roots),
    )


def _flows(roots: Sequence[ET.Element], flows: Sequence[ET.Element]) -> Iterator[str]:
    if not flows:
        yield "Density is not varied: there is no <flow>."
    calibrators = [element.get("id") for root in roots for element in root.iter("calibrator")]
    if calibrators:
        yield (
            f"The flows of calibrators are left as they are: {_listed(calibrators)}. Where they stand, they add what a "
            "sparse draw leaves out and take away what a dense one adds."
        )


def _convoy(cars: Sequence[ET.Element], roots: Sequence[ET.Element]) -> Iterator[str]:
    mixed = {element.get("id") for root in roots for element in root.iter("vTypeDistribution")}
    for car in cars:
        name, place = car.get("id"), car.get("departPos", "base")
        if not is_number(place):
            yield (
                f"{name} has the departPos {place!r}, which is no distance: SUMO places it, "
                "the convoy's spacing is not varied."
            )
        if type_of(car) in mixed:
            yield f"{name} has the vTypeDistribution {type_of(car)!r}: SUMO draws its type, by its seed."


def _choices(elements: Sequence[ET.Element]) -> Iterator[str]:
    chosen = defaultdict(list)
    for element in elements:
        for attribute in _PLACES:
            if element.get(attribute) in _CHOSEN_BY_SUMO:
                chosen[attribute, element.get(attribute)].append(element.get("id"))
    for (attribute, value), names in chosen.items():
        yield f"{attribute}={value!r} of {_listed(names)} is SUMO's choice, by its seed, and not varied."


def _people(roots: Sequence[ET.Element]) -> Iterator[str]:
    for tag in _UNVARIED:
        count = sum(len(root.findall(tag)) for root in roots)
        if count:
            yield f"<{tag}> elements are left as they are, {count} of them."


def _other_classes(roots: Sequence[ET.Element]) -> Iterator[str]:
    kinds = [kind for root in roots for kind in root.iter("vType") if kind.get("vClass") in CLASSES_LEFT_ALONE]
    if kinds:
        yield f"Types of other than road vehicles are not varied: {_listed([kind.get('id') for kind in kinds])}."


def _listed(names: Sequence[str | None], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(str, names[:most])) + more
