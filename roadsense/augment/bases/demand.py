"""Rewrites a base's demand in the simplest form with the same traffic, so that every variation acts on all of it."""

import contextlib
import copy
import math
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from roadsense.augment.bases.supported import read_edge_names
from roadsense.augment.draws.ranges import Range, VariationRanges
from roadsense.augment.edits.vehicle_defaults import DEFAULT_CLASS, following_defaults
from roadsense.augment.edits.vehicles import read_positions
from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import find_rate_attribute, format_scaled_rate, read_seconds
from roadsense.scenarios.route_files import single_vehicles, type_of
from roadsense.scenarios.scenario import Scenario, background_vehicles, convoy_cars

WARM_UP_S = 300.0
"""Simulated time before the convoy's departure, if the base starts more than twice as long before it."""

LANE_KEEPING = {"lcSpeedGain": "0", "lcKeepRight": "0", "lcCooperative": "-1"}
"""Attributes of a type whose cars change lane only where their route needs it
(https://sumo.dlr.de/docs/Definition_of_Vehicles%2C_Vehicle_Types%2C_and_Routes.html#lane-changing_models)."""

CAR_LENGTH_M = 5.0
"""SUMO's default length of a car."""

SLOWEST_TAU = 1.3
"""Departures leave room for the time headway times this factor: the upper end of its usual range."""

_CHOSEN_LANES = ("best", "free", "random", "allowed")


def simplify_demand(
    config: ET.Element, roots: Sequence[ET.Element], scenario: Scenario, hold_lane: bool
) -> Iterator[str]:
    """Changes the trees of a base, and yields a note on each kind of change.

    Args:
        config: root element of its configuration.
        roots: root elements of its route files.
        scenario: description of its files.
        hold_lane: whether the convoy's cars change lane only where their route needs it.
    """
    if names := [name for root in roots for name in _take_out_of_intervals(root)]:
        yield f"Flows in <interval> get its begin and end as their own: {', '.join(names)}."
    yield from _apply_scale(config, roots, scenario)
    yield from _apply_type_scales(roots)
    if names := _drop_speed_factors(roots):
        yield f"speedFactor of {', '.join(names)} is left out: it would win over that of the type, which is varied."
    if hold_lane:
        yield from _hold_lane(roots, scenario)
    yield from _slow_dense_convoy(roots, scenario)
    yield from _cut_begin(config, scenario)


def find_limits(
    config: ET.Element, cars: Sequence[ET.Element], ranges: VariationRanges
) -> tuple[dict[str, Range], list[str]]:
    """Returns a base's limits on levels, and notes on ranges they narrow."""
    earliest_s = _begin_s(config) - min(read_seconds(car, "depart") for car in cars)
    low, high = ranges.convoy_shift_s
    if low >= earliest_s:
        return {}, []
    note = (
        f"convoy_shift_s is {earliest_s:g} to {max(high, earliest_s):g} here, not {low:g} to {high:g}: the convoy "
        "can't depart before the simulation begins."
    )
    return {"convoy_shift_s": (earliest_s, math.inf)}, [note]


def _take_out_of_intervals(root: ET.Element) -> list[str]:
    names = []
    for interval in root.findall("interval"):
        place = list(root).index(interval)
        root.remove(interval)
        for number, element in enumerate(list(interval)):
            if element.tag == "flow":
                ends = {name: value for name, value in interval.attrib.items() if name in ("begin", "end")}
                element.attrib.update({name: value for name, value in ends.items() if name not in element.attrib})
                names.append(element.get("id", ""))
            root.insert(place + number, element)
    return names


def _apply_scale(config: ET.Element, roots: Sequence[ET.Element], scenario: Scenario) -> Iterator[str]:
    found = [(parent, option) for parent in config.iter() for option in parent if option.tag == "scale"]
    for parent, option in found:
        parent.remove(option)
        scale = float(option.get("value", "1"))
        if not len(parent):
            config.remove(parent)
        if scale == 1.0:
            continue
        for flow in (flow for root in roots for flow in root.findall("flow")):
            _scale_flow(flow, scale)
        yield f"The option scale is written into the flows' rates: x {scale:g}; single vehicles come once."


def _apply_type_scales(roots: Sequence[ET.Element]) -> Iterator[str]:
    kinds = [kind for root in roots for kind in root.iter("vType")]
    scales = {kind.get("id", ""): float(kind.attrib.pop("scale")) for kind in kinds if "scale" in kind.attrib}
    if not scales:
        return
    mixed = {mix.get("id", "") for root in roots for mix in root.iter("vTypeDistribution")}
    flows = [flow for root in roots for flow in root.findall("flow")]
    for flow in flows:
        _scale_flow(flow, scales.get(type_of(flow), 1.0))
    lost = "; flows of a vTypeDistribution keep their rates" if any(type_of(flow) in mixed for flow in flows) else ""
    factors = ", ".join(f"{name} x {scale:g}" for name, scale in scales.items())
    yield f"The scale of types is written into their flows' rates: {factors}; single vehicles come once{lost}."


def _scale_flow(flow: ET.Element, scale: float) -> None:
    if scale != 1.0:
        with contextlib.suppress(ScenarioError, ValueError, ZeroDivisionError):  # noted as not varied
            flow.set(find_rate_attribute(flow), format_scaled_rate(flow, scale))


def write_departures(config: ET.Element, roots: Sequence[ET.Element]) -> None:
    """Writes the time at which the simulation begins in place of the depart time `begin`."""
    for car in (car for root in roots for car in single_vehicles(root) if car.get("depart") == "begin"):
        car.set("depart", f"{_begin_s(config):g}")


def _drop_speed_factors(roots: Sequence[ET.Element]) -> list[str]:
    elements = (one for root in roots for one in (*single_vehicles(root), *root.findall("flow")))
    return [one.get("id", "") for one in elements if one.attrib.pop("speedFactor", None)]


def _hold_lane(roots: Sequence[ET.Element], scenario: Scenario) -> Iterator[str]:
    cars = convoy_cars(roots, scenario)
    moved = [car for car in cars if car.get("departLane") in _CHOSEN_LANES]
    for car in moved:
        car.set("departLane", "first")
    if moved:
        names = ", ".join(car.get("id", "") for car in moved)
        yield f"departLane of {names} is 'first': the convoy departs in one lane."
    others = _background_types(roots, scenario)
    held = []
    for name in sorted({type_of(car) for car in cars}):
        for root, kind in [(one, kind) for one in roots for kind in one.findall("vType") if kind.get("id") == name]:
            if kind.get("lcSpeedGain") == "0":  # its author has set it already
                continue
            if name in others:
                kind = copy.deepcopy(kind)
                kind.set("id", f"{name}_convoy")
                root.insert(0, kind)
                for car in (car for car in cars if type_of(car) == name):
                    car.set("type", f"{name}_convoy")
            kind.attrib.update(LANE_KEEPING)
            held.append(kind.get("id", ""))
    if held:
        yield f"The convoy is held in its lane: cars of {', '.join(held)} change lane for their route alone."


def _background_types(roots: Sequence[ET.Element], scenario: Scenario) -> set[str]:
    background = [one for root in roots for one in (*background_vehicles(root, scenario), *root.iter("flow"))]
    mixes = [mix for root in roots for mix in root.iter("vTypeDistribution")]
    return {*map(type_of, background), *(name for mix in mixes for name in mix.get("vTypes", "").split())}


def _slow_dense_convoy(roots: Sequence[ET.Element], scenario: Scenario) -> Iterator[str]:
    # SUMO inserts no car closer to the next one than its time headway at its departure speed.
    kinds = {kind.get("id", ""): kind for root in roots for kind in root.iter("vType")}
    cars = convoy_cars(roots, scenario)
    try:
        positions = read_positions(cars)
        speed_mps = min(float(car.get("departSpeed", "0")) for car in cars)
    except (ScenarioError, ValueError):  # SUMO chooses
        return
    safe_mps = math.inf
    for i, (behind, ahead) in enumerate(pairwise(cars)):
        kind, other = (kinds.get(type_of(car), ET.Element("vType")) for car in (behind, ahead))
        defaults = following_defaults(kind.get("vClass", DEFAULT_CLASS))
        gap_m = positions[i + 1] - positions[i] - float(other.get("length", CAR_LENGTH_M))
        gap_m -= float(kind.get("minGap", defaults.min_gap))
        safe_mps = min(safe_mps, max(gap_m, 0.0) / float(kind.get("tau", defaults.tau)))
    if safe_mps < speed_mps:
        slower = f"{safe_mps / SLOWEST_TAU:.1f}"
        for car in cars:
            car.set("departSpeed", slower)
        yield (
            f"departSpeed of the convoy is {slower} m/s, not {speed_mps:g}: its cars stand nearer to each other than "
            "SUMO lets cars depart at this speed."
        )


def _cut_begin(config: ET.Element, scenario: Scenario) -> Iterator[str]:
    begin_s, depart_s = _begin_s(config), scenario.convoy_depart_s
    if depart_s - begin_s <= 2 * WARM_UP_S:
        return
    new_s = math.floor(depart_s - WARM_UP_S)
    option = config.find(".//begin")
    if option is None:
        option = ET.SubElement(ET.SubElement(config, "time"), "begin")
    option.set("value", str(new_s))
    yield (
        f"The simulation begins at {new_s} s, not {begin_s:g} s, {WARM_UP_S:g} s before the convoy's departure: "
        "traffic that departs before is left out. Set <begin> for another time."
    )


def _begin_s(config: ET.Element) -> float:
    option = config.find(".//begin")
    return 0.0 if option is None else read_seconds(option, "value")


MAX_ADDED_VPH = 10_000.0
MAX_FLOWS = 12
CLEAR_S = 3.0
"""Flows over the convoy's departure edge begin this many seconds after the convoy's departure."""

TYPE_ID = "added_car"


def add_traffic(config: ET.Element, roots: Sequence[ET.Element], scenario: Scenario, rate_vph: float) -> str:
    """Adds flows to a base's first route file; returns a note.

    Args:
        config: root element of the base's configuration.
        roots: root elements of its route files.
        scenario: description of the base's files.
        rate_vph: total rate of all flows [vehicles/h].

    Raises:
        ScenarioError: if no route leads through the network.
    """
    routes = _find_routes(scenario.network_path)
    if not routes:
        raise ScenarioError(f"{scenario.network_path}: expected a route for added traffic, found none. Add flows.")
    begin = config.find(".//begin")
    begin_s = 0.0 if begin is None else read_seconds(begin, "value")
    start = {edge for car in convoy_cars(roots, scenario) for edge in read_edge_names(car, roots)[:1]}
    kind = ET.Element("vType", {"id": TYPE_ID})
    root = roots[-1]
    root.insert(0, kind)
    for number, edges in enumerate(routes):
        first_s = scenario.convoy_depart_s + CLEAR_S if start & set(edges) else begin_s
        flow = ET.SubElement(
            root,
            "flow",
            {
                "id": f"added_{number}",
                "type": TYPE_ID,
                "begin": f"{first_s:g}",
                "vehsPerHour": f"{rate_vph / len(routes):g}",
                "departLane": "best",
                "departSpeed": "desired",
            },
        )
        ET.SubElement(flow, "route", {"edges": " ".join(edges)})
    return f"{rate_vph:g} vehicles an hour are added, as {len(routes)} flows through the network."


def _find_routes(network_path: Path) -> list[list[str]]:
    # For each edge without a predecessor: the longest of the shortest routes to an edge without a successor.
    import sumolib

    net = sumolib.net.readNet(str(network_path))
    edges = [edge for edge in net.getEdges() if edge.allows("passenger")]
    starts = [edge for edge in edges if not _others(edge, edge.getIncoming())]
    ends = [edge for edge in edges if not _others(edge, edge.getOutgoing())]
    routes = []
    for start in starts[:MAX_FLOWS]:
        ways = [net.getShortestPath(start, end, vClass="passenger") for end in ends]
        found = [(cost, [edge.getID() for edge in way]) for way, cost in ways if way and not _turns_back(way)]
        if found:
            routes.append(max(found)[1])
    return routes


def _others(edge: object, connected: Sequence[object]) -> list[object]:
    # An edge and the one back from its end are one road: a turn at a dead end leads nowhere else.
    return [one for one in connected if not _turns_back((edge, one))]


def _turns_back(way: Sequence[object]) -> bool:
    def ends(one: object) -> tuple[object, object]:
        return one.getFromNode(), one.getToNode()  # type: ignore[attr-defined] # an edge of sumolib

    return any(ends(first) == ends(second)[::-1] for first, second in pairwise(way))
