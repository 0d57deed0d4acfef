"""The shape of a road, as lines and outlines, for pictures."""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import sumolib
from numpy.typing import NDArray

Line = NDArray[np.float32]


class RoadShape(NamedTuple):
    """The shape of a road; lengths in m.

    Attributes:
        lanes: polyline of each lane's middle, (points, 2) each, those inside junctions included.
        lane_width_m: (lanes,) width of each lane.
        junctions: outline of each junction, (points, 2) each.
    """

    lanes: tuple[Line, ...]
    lane_width_m: NDArray[np.float32]
    junctions: tuple[Line, ...]


@lru_cache(maxsize=4)
def read_road_shape(network_path: Path) -> RoadShape:
    """Returns the shape of the road in a `.net.xml` file."""
    network = sumolib.net.readNet(str(network_path), withInternal=True)
    lanes = [lane for edge in network.getEdges(withInternal=True) for lane in edge.getLanes()]
    outlines = [node.getShape() for node in network.getNodes()]
    return RoadShape(
        tuple(_plane(lane.getShape()) for lane in lanes),
        np.array([lane.getWidth() for lane in lanes], np.float32),
        tuple(_plane(line) for line in outlines if len(line) > 2),
    )


def _plane(line: Iterable[Iterable[float]]) -> Line:
    return np.array([tuple(point)[:2] for point in line], np.float32)
