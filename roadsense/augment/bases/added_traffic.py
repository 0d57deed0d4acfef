"""Adds background traffic to a base: flows on the routes through its network that do not disturb its convoy."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from roadsense.errors import ScenarioError
from roadsense.scenarios.flows import read_seconds
from roadsense.scenarios.scenario import Scenario, convoy_cars

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
    start = _departure_edges(roots, scenario)
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


def _departure_edges(roots: Sequence[ET.Element], scenario: Scenario) -> set[str]:
    routes = {route.get("id"): route for root in roots for route in root.findall("route")}
    names = set()
    for car in convoy_cars(roots, scenario):
        own = car.find("route")
        route = own if own is not None else routes.get(car.get("route"))
        names |= {car.get("from", "")} if route is None else set(route.get("edges", "").split()[:1])
    return names
