"""The road ahead of a vehicle, read from SUMO's lanes and links."""

import math
from collections.abc import Sequence
from typing import Any, Final

from roadsense.envs.world import RoadAhead

ALWAYS_OPEN: Final = "M"
"""State of a link with right of way by the road's rank: no light and no other car ever closes it."""

SIGHT_M: Final = 150.0
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
        self._read_lane, self._read_lane_position = vehicle.getLaneID, vehicle.getLanePosition
        self._lanes: dict[str, tuple[float, float, RoadAhead]] = {}
        self._open_ways: dict[str, Sequence[tuple]] = {}

    def forget(self) -> None:
        """Forgets all lanes: another network may have others of the same names."""
        self._lanes.clear()
        self._open_ways.clear()

    def describe_lane(self, lane_id: str) -> tuple[float, float, RoadAhead]:
        """Returns a lane's length in m, its limit in m/s, and the road ahead where nothing else is in sight."""
        known = self._lanes.get(lane_id)
        if known is None:
            limit_mps = self._lane.getMaxSpeed(lane_id)
            known = self._lanes[lane_id] = (self._lane.getLength(lane_id), limit_mps, RoadAhead(limit_mps))
        return known

    def look_ahead(self, vehicle_id: str) -> RoadAhead:
        """Returns the speed limits and stop lines within `SIGHT_M` on a vehicle's route."""
        lane_id: str = self._read_lane(vehicle_id)
        length_m, limit_mps, free_road = self.describe_lane(lane_id)
        position_m: float = self._read_lane_position(vehicle_id)
        distance_m = length_m - position_m
        if distance_m > SIGHT_M:
            return free_road
        links = self._open_ways.get(lane_id)
        if links is None:
            links = self._vehicle.getNextLinks(vehicle_id)
            if all(link[5] == ALWAYS_OPEN for link in links):
                self._open_ways[lane_id] = links
        return self._follow_links(links, limit_mps, distance_m)

    def _follow_links(self, links: Sequence[tuple], limit_mps: float, distance_m: float) -> RoadAhead:
        stop_m = yellow_m = lower_m = math.inf
        lower_mps = limit_mps
        for link in links:
            lane: str = link[0]
            is_open: bool = link[2]
            state: str = link[5]
            link_length_m: float = link[7]
            if state in "yY":
                yellow_m = min(yellow_m, distance_m)
            elif not is_open and state != ALWAYS_OPEN:
                stop_m = min(stop_m, distance_m)
            distance_m += link_length_m
            length_m, lane_limit_mps, _ = self.describe_lane(lane)
            if lane_limit_mps < lower_mps:
                lower_mps, lower_m = lane_limit_mps, distance_m
            distance_m += length_m
            if distance_m > SIGHT_M or stop_m < math.inf:
                break
        return tuple.__new__(RoadAhead, (limit_mps, stop_m, yellow_m, lower_mps, lower_m))  # quicker
