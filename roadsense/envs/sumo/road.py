"""The road ahead of a vehicle, read from SUMO's lanes and links."""

import math
from collections.abc import Sequence
from typing import Any

from roadsense.envs.world import RoadAhead

ALWAYS_OPEN = "M"
"""State of a link with right of way by the road's rank: no light and no other car ever closes it."""

SIGHT_M = 150.0
"""Distance ahead of the ego in which leaders, stop lines and lower limits are found."""


class RoadReader:
    """Reads lanes, each once, and the road ahead of a vehicle.

    It is made for one vehicle that keeps to its route: if all links ahead of a lane are always open, it reads them only
    once. (Reading them takes 2 of the 4 us of `look_ahead`.)

    Args:
        vehicle: readings of vehicles, under SUMO's names for them.
        lane: readings of lanes.
    """

    def __init__(self, vehicle: Any, lane: Any):
        self._vehicle, self._lane = vehicle, lane
        self._lanes: dict[str, tuple[float, float]] = {}
        self._open_ways: dict[str, Sequence[tuple]] = {}

    def forget(self) -> None:
        """Forgets all lanes: another network may have others of the same names."""
        self._lanes.clear()
        self._open_ways.clear()

    def length_and_limit(self, lane_id: str) -> tuple[float, float]:
        """Returns a lane's length in m and its limit in m/s."""
        known = self._lanes.get(lane_id)
        if known is None:
            known = self._lanes[lane_id] = (self._lane.getLength(lane_id), self._lane.getMaxSpeed(lane_id))
        return known

    def look_ahead(self, vehicle_id: str) -> RoadAhead:
        """Returns the speed limits and stop lines within `SIGHT_M` on a vehicle's route."""
        vehicle = self._vehicle
        lane_id = vehicle.getLaneID(vehicle_id)
        length_m, limit_mps = self.length_and_limit(lane_id)
        distance_m = length_m - vehicle.getLanePosition(vehicle_id)
        if distance_m > SIGHT_M:
            return RoadAhead(limit_mps)
        links = self._open_ways.get(lane_id)
        if links is None:
            links = vehicle.getNextLinks(vehicle_id)
            if all(link[5] == ALWAYS_OPEN for link in links):
                self._open_ways[lane_id] = links
        return self._follow_links(links, limit_mps, distance_m)

    def _follow_links(self, links: Sequence[tuple], limit_mps: float, distance_m: float) -> RoadAhead:
        stop_m = yellow_m = lower_m = math.inf
        lower_mps = limit_mps
        for lane, _, is_open, _, _, state, _, link_length_m in links:
            if state in "yY":
                yellow_m = min(yellow_m, distance_m)
            elif not is_open and state != ALWAYS_OPEN:
                stop_m = min(stop_m, distance_m)
            distance_m += link_length_m
            length_m, lane_limit_mps = self.length_and_limit(lane)
            if lane_limit_mps < lower_mps:
                lower_mps, lower_m = lane_limit_mps, distance_m
            distance_m += length_m
            if distance_m > SIGHT_M or stop_m < math.inf:
                break
        return RoadAhead(limit_mps, stop_m, yellow_m, lower_mps, lower_m)
