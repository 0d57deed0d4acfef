"""Positions of a draw's vehicles in free flow, without interaction: for a picture at once, without a simulation.

Every vehicle departs as its route file says and drives at its desired speed: the lane's limit times its speedFactor, at
most its type's maxSpeed. Lights, gaps and lane changes are left to the simulation.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import sumolib

from roadsense.augment.bases.base import Base
from roadsense.augment.draws.variations import Variation
from roadsense.augment.edits.network_files import speed_share
from roadsense.augment.edits.vehicles import is_heavy, read_mix, read_speed_factor
from roadsense.augment.validation.scenario_files import vary_routes
from roadsense.pictures.vehicles import CAR_LENGTH_M, CAR_WIDTH_M, DrawnVehicle
from roadsense.scenarios.flows import HOUR_S, read_rate_vph, read_seconds, why_uncountable
from roadsense.scenarios.route_files import single_vehicles, type_of

HEAVY_LENGTH_M, HEAVY_WIDTH_M, HEAVY_SPEED_MPS = 12.0, 2.5, 36.1


@dataclass(frozen=True)
class FlowRate:
    """The demand of a flow.

    Attributes:
        name: id of the flow.
        base_vph, vph: rate in the base and in the draw [vehicles/h].
        begin_s: time of its begin in the draw [s].
    """

    name: str
    base_vph: float
    vph: float
    begin_s: float


@dataclass(frozen=True)
class ExpectedTraffic:
    """The traffic of a draw, read from its route files without a simulation.

    Attributes:
        vehicles: all vehicles at their expected positions.
        types: vehicle type of each vehicle, in the same order.
        desired_mps: each vehicle's desired speed where it is [m/s].
        flows: demand of each flow.
    """

    vehicles: tuple[DrawnVehicle, ...]
    types: tuple[str, ...]
    desired_mps: tuple[float, ...]
    flows: tuple[FlowRate, ...]


@dataclass(frozen=True)
class RoadNetwork:
    """A network on which vehicles are placed; reading it takes longer than all else, so keep it.

    Attributes:
        path: path of its `.net.xml`.
    """

    path: Path

    @cached_property
    def net(self) -> sumolib.net.Net:
        """The network as a sumolib object."""
        return sumolib.net.readNet(str(self.path))

    def find_edges(self, element: ET.Element, routes: dict[str, str]) -> list[sumolib.net.edge.Edge]:
        """Returns the edges that a vehicle or flow drives along; none if they are not known."""
        own = element.find("route")
        names = (own.get("edges", "") if own is not None else routes.get(element.get("route", ""), "")).split()
        if not names and {"from", "to"} <= element.attrib.keys():
            names = self._shortest(element.get("from", ""), element.get("to", ""))
        return [self.net.getEdge(name) for name in names if self.net.hasEdge(name)]

    def _shortest(self, start: str, end: str) -> list[str]:
        if not (self.net.hasEdge(start) and self.net.hasEdge(end)):
            return []
        found, _ = self.net.getShortestPath(self.net.getEdge(start), self.net.getEdge(end))
        return [edge.getID() for edge in found or ()]


def expect_traffic(base: Base, network: RoadNetwork, variation: Variation, after_s: float) -> ExpectedTraffic:
    """Returns where a draw's vehicles would be some time after its convoy's departure.

    Args:
        base: base scenario.
        network: road network of the base.
        variation: draw to show.
        after_s: time after the convoy's departure [s].
    """
    roots = [root for _, root in vary_routes(base, variation)[0]]
    originals = {flow.get("id", ""): flow for _, root in base.read_routes() for flow in root.findall("flow")}
    now_s = base.scenario.convoy_depart_s + variation.levels["convoy_shift_s"] + after_s
    driven = _Driven(network, roots, variation, now_s)
    found = [one for root in roots for element in _demand(root) for one in driven.place(element)]
    flows = tuple(
        FlowRate(flow.get("id", ""), read_rate_vph(originals[flow.get("id", "")]), read_rate_vph(flow),
                 read_seconds(flow, "begin"))
        for root in roots for flow in root.findall("flow") if flow.get("id", "") in variation.flows
    )  # fmt: skip
    vehicles, types, desired = zip(*found, strict=True) if found else ((), (), ())
    return ExpectedTraffic(vehicles, types, desired, flows)


def _demand(root: ET.Element) -> Iterator[ET.Element]:
    yield from (one for one in (*root.findall("flow"), *single_vehicles(root)) if not why_uncountable(one))


class _Driven:
    """Places the vehicles of one draw at one moment."""

    def __init__(self, network: RoadNetwork, roots: Sequence[ET.Element], variation: Variation, now_s: float):
        self._network, self._now_s = network, now_s
        self._kinds = {kind.get("id", ""): kind for root in roots for kind in root.iter("vType")}
        mixes = {mix.get("id", ""): mix for root in roots for mix in root.iter("vTypeDistribution")}
        self._mixes = {name: read_mix(mix, self._kinds) for name, mix in mixes.items()}
        self._routes = {route.get("id", ""): route.get("edges", "") for root in roots for route in root.iter("route")}
        self._share = speed_share(variation.levels["friction"])
        self._rng = np.random.default_rng(variation.sumo_seed)

    def place(self, element: ET.Element) -> Iterator[tuple[DrawnVehicle, str, float]]:
        """Yields the vehicles of a flow, or a single one, that are on the road."""
        edges = self._network.find_edges(element, self._routes)
        for number, depart_s in enumerate(self._departures(element)):
            kind_name = self._choose_type(type_of(element))
            kind = self._kinds.get(kind_name)
            factor = self._speed_factor(kind)
            if not edges:
                continue
            name = element.get("id", "") if element.tag != "flow" else f"{element.get('id', '')}.{number}"
            spot = self._drive(element, edges, kind, factor, self._now_s - depart_s)
            if spot is not None:
                yield _draw(name, spot, kind), kind_name, spot[3]

    def _departures(self, element: ET.Element) -> list[float]:
        if element.tag != "flow":
            depart_s = read_seconds(element, "depart")
            return [depart_s] if depart_s <= self._now_s else []
        begin_s, headway_s = read_seconds(element, "begin"), HOUR_S / read_rate_vph(element)
        end_s = min(self._now_s, read_seconds(element, "end"))
        return np.arange(begin_s, end_s, headway_s).tolist()

    def _choose_type(self, name: str) -> str:
        mix = self._mixes.get(name)
        if not mix:
            return name
        weights = np.array(list(mix.values()))
        return str(self._rng.choice(list(mix), p=weights / weights.sum()))

    def _speed_factor(self, kind: ET.Element | None) -> float:
        if kind is None or kind.get("speedFactor") is None:
            return 1.0
        factor = read_speed_factor(kind.get("speedFactor"), kind.get("speedDev"))
        return float(np.clip(self._rng.normal(factor.mean, factor.dev), factor.low, factor.high))

    def _drive(
        self, element: ET.Element, edges: Sequence[sumolib.net.edge.Edge], kind: ET.Element | None, factor: float,
        left_s: float,
    ) -> tuple[float, float, float, float] | None:  # fmt: skip
        top_mps = HEAVY_SPEED_MPS if is_heavy(kind) else np.inf
        if kind is not None:
            top_mps = float(kind.get("maxSpeed", top_mps))
        place_m, lane = _number(element.get("departPos")), int(_number(element.get("departLane")))
        for edge in edges:
            own = edge.getLanes()[min(lane, edge.getLaneNumber() - 1)]
            speed_mps = min(own.getSpeed() * factor * self._share, top_mps)
            reach_m = place_m + speed_mps * left_s
            if reach_m <= own.getLength():
                return (*_spot(own.getShape(), reach_m), speed_mps)
            left_s -= max(own.getLength() - place_m, 0.0) / speed_mps
            place_m = 0.0
        return None  # arrived


def _spot(shape: Sequence[tuple[float, ...]], at_m: float) -> tuple[float, float, float]:
    points = np.array([point[:2] for point in shape])
    steps = np.diff(points, axis=0)
    lengths = np.hypot(*steps.T)
    ends = np.cumsum(lengths)
    index = min(int(np.searchsorted(ends, at_m)), len(steps) - 1)
    x, y = points[index] + steps[index] * ((at_m - ends[index]) / lengths[index] + 1.0)
    return float(x), float(y), float(np.degrees(np.arctan2(*steps[index])))


def _draw(name: str, spot: tuple[float, float, float, float], kind: ET.Element | None) -> DrawnVehicle:
    length_m, width_m = (HEAVY_LENGTH_M, HEAVY_WIDTH_M) if is_heavy(kind) else (CAR_LENGTH_M, CAR_WIDTH_M)
    if kind is not None:
        length_m, width_m = float(kind.get("length", length_m)), float(kind.get("width", width_m))
    return DrawnVehicle(name, *spot, length_m=length_m, width_m=width_m)


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:  # `base`, `random`, `best` and the like
        return 0.0
