"""A road for a base scenario: a drive's own trace with curves and slopes, or matched on an OpenStreetMap extract."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

import numpy as np
import sumolib
from numpy.typing import NDArray

from roadsense.drives.drive import Drive
from roadsense.drives.lanes import convert_osm, run_netconvert
from roadsense.drives.motion import smooth
from roadsense.drives.steps import STEP_S
from roadsense.errors import DriveError

Floats = NDArray[np.float64]

POINT_EVERY_M = 10.0
SMOOTH_S, SMOOTH_SLOPE_S = 2.0, 8.0
MOST_TURN_RAD = 1.5
"""A sharper turn between two points is no road but a wandering position."""
LEAST_LENGTH_M = 100.0
BEFORE_M, AFTER_M = 60.0, 300.0
"""The road goes straight on this far before the first car's trace and after the last."""
MATCH_M = 15.0
NETWORK_NAME = "network.net.xml"
LIMITS_KMH = (30, 50, 60, 70, 80, 100, 120, 130, 160, 200)


@dataclass(frozen=True)
class Road:
    """A network and the way through it.

    Attributes:
        edges: edges of the convoy's route.
        length_m: length of the route.
        speed_mps: speed limit where it is lowest.
        line: (points, 2) middle of the way; positions along it are those of the route.
        lanes: fewest lanes on the way.
        note: what was done, in a sentence.
    """

    edges: tuple[str, ...]
    length_m: float
    speed_mps: float
    line: Floats
    lanes: int
    note: str

    def place_of(self, x_m: float, y_m: float) -> float:
        """Returns how far along the road a place is."""
        points = [tuple(point) for point in self.line.tolist()]
        return float(sumolib.geomhelper.polygonOffsetWithMinimumDistanceToPoint((x_m, y_m), points))


def trace_of(drive: Drive) -> Floats:
    """Returns the way that the convoy drove as points about `POINT_EVERY_M` apart, (points, 3) with the altitude.

    It is the ego's, continued by the way that its farthest car ahead drove beyond it.

    Raises:
        DriveError: if the ego drove less than `LEAST_LENGTH_M`.
    """
    way = _thin(_smooth_way(drive, drive.ego))
    ahead = [car for car in drive.peers[: drive.n_ahead] if car in drive.sensors]
    for car in ahead[::-1]:
        beyond = _thin(_smooth_way(drive, car))
        if len(beyond) and len(way):
            nearest = int(np.argmin(np.hypot(*(beyond[:, :2] - way[-1, :2]).T)))
            rest = beyond[nearest + 1 :]
            if len(rest) and np.hypot(*(rest[0, :2] - way[-1, :2])) < 5 * POINT_EVERY_M:
                way = _drop_spikes(np.concatenate([way, rest]))
                break
    length_m = float(np.hypot(*np.diff(way[:, :2], axis=0).T).sum()) if len(way) > 1 else 0.0
    if length_m < LEAST_LENGTH_M:
        raise DriveError(
            f"{drive.folder}: expected a drive of at least {LEAST_LENGTH_M:g} m, got {length_m:.0f} m with positions."
        )
    return way


def road_from_trace(drive: Drive, folder: Path, lanes: int) -> Road:
    """Writes a network with one road along a drive's trace.

    Args:
        drive: the drive.
        folder: folder of the network.
        lanes: number of lanes.

    Raises:
        DriveError: if the drive is too short, or netconvert refuses the road.
    """
    way = trace_of(drive)
    first, last = way[0, :2] - way[1, :2], way[-1, :2] - way[-2, :2]
    start = np.r_[way[0, :2] + first / np.hypot(*first) * BEFORE_M, way[0, 2]]
    end = np.r_[way[-1, :2] + last / np.hypot(*last) * AFTER_M, way[-1, 2]]
    line = np.concatenate([[start], way, [end]])
    speed_mps = _limit_mps(drive)
    shape = " ".join(f"{x:.2f},{y:.2f},{z:.2f}" for x, y, z in line)
    (folder / "road.nod.xml").write_text(
        "<nodes>"
        + "".join(
            f'<node id="{name}" x="{x:.2f}" y="{y:.2f}" z="{z:.2f}"/>'
            for name, (x, y, z) in zip("ab", (line[0], line[-1]), strict=True)
        )
        + "</nodes>\n"
    )
    (folder / "road.edg.xml").write_text(
        f'<edges><edge id="drive" from="a" to="b" numLanes="{lanes}" speed="{speed_mps:.2f}" '
        f'spreadType="center" shape={quoteattr(shape)}/></edges>\n'
    )
    arguments = [
        "-n",
        str(folder / "road.nod.xml"),
        "-e",
        str(folder / "road.edg.xml"),
        "--offset.disable-normalization",
    ]
    run_netconvert(arguments, folder / NETWORK_NAME, drive.folder)
    length_m = float(np.hypot(*np.diff(line[:, :2], axis=0).T).sum())
    climb = float(np.ptp(line[:, 2]))
    note = f"The road is the drive's own trace, {length_m:.0f} m with {lanes} lanes" + (
        f"; it climbs {climb:.0f} m." if climb > 0.5 else "; without logged altitudes it is flat."
    )
    return Road(("drive",), length_m, speed_mps, line[:, :2], lanes, note)


def road_from_osm(drive: Drive, folder: Path, osm: Path) -> Road:
    """Writes the network of an OpenStreetMap extract, and matches the drive's trace on it.

    Raises:
        DriveError: if netconvert refuses the extract, or the trace matches no way through it.
    """
    convert_osm(osm, folder / NETWORK_NAME, drive.plane)
    net = sumolib.net.readNet(str(folder / NETWORK_NAME))
    way = trace_of(drive)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Module 'rtree'")  # it only speeds the search up
        found = sumolib.route.mapTrace([tuple(point) for point in way[:, :2].tolist()], net, MATCH_M, fillGaps=500)
    edges = [net.getEdge(edge) if isinstance(edge, str) else edge for edge in found]
    edges = [edge for place, edge in enumerate(edges) if not place or edge is not edges[place - 1]]
    length_m = sum(edge.getLength() for edge in edges)
    driven_m = float(np.hypot(*np.diff(way[:, :2], axis=0).T).sum())
    if not edges or length_m < 0.5 * driven_m:
        raise DriveError(
            f"{osm}: expected roads along the drive, {driven_m:.0f} m within {MATCH_M:g} m of its trace, got "
            f"{length_m:.0f} m. Is it the extract of this place?"
        )
    line = np.concatenate([np.array(edge.getShape(), float)[:, :2] for edge in edges])
    kept = np.r_[True, np.hypot(*np.diff(line, axis=0).T) > 0.01]
    note = f"The drive was matched on {len(edges)} edges of {osm.name}, {length_m:.0f} m."
    return Road(
        tuple(edge.getID() for edge in edges), length_m, min(edge.getSpeed() for edge in edges), line[kept],
        min(edge.getLaneNumber() for edge in edges), note,
    )  # fmt: skip


def _smooth_way(drive: Drive, car: str) -> Floats:
    log = drive.sensors[car]
    good = np.isfinite(log.x_m) & ~log.is_stuck
    if good.sum() < 2:
        return np.zeros((0, 3))
    grid_s = np.arange(log.time_s[good][0], log.time_s[good][-1], STEP_S)
    x_m, y_m = (smooth(np.interp(grid_s, log.time_s[good], value[good]), SMOOTH_S) for value in (log.x_m, log.y_m))
    known = good & np.isfinite(log.altitude_m)
    z_m = np.zeros(len(grid_s))
    if known.sum() > 1:
        z_m = smooth(np.interp(grid_s, log.time_s[known], log.altitude_m[known]), SMOOTH_SLOPE_S)
        z_m -= z_m.min()
    return np.column_stack([x_m, y_m, z_m])


def _thin(way: Floats) -> Floats:
    """Returns points of a way that are `POINT_EVERY_M` apart: where a car stands, its position only wanders."""
    kept: list[int] = []
    for place, (x_m, y_m) in enumerate(way[:, :2].tolist()):
        if not kept or np.hypot(x_m - way[kept[-1], 0], y_m - way[kept[-1], 1]) >= POINT_EVERY_M:
            kept.append(place)
    return _drop_spikes(way[kept])


def _drop_spikes(way: Floats) -> Floats:
    """Returns a way without points at which it turns back sharply."""
    while len(way) > 2:
        course = np.unwrap(np.arctan2(*np.diff(way[:, :2], axis=0).T[::-1]))
        sharp = np.flatnonzero(np.abs(np.diff(course)) > MOST_TURN_RAD)
        if not len(sharp):
            break
        way = np.delete(way, sharp[0] + 1, axis=0)
    return way


def _limit_mps(drive: Drive) -> float:
    fast = float(np.nanquantile(drive.own.speed_mps, 0.95)) * 3.6
    return next((limit for limit in LIMITS_KMH if limit >= fast), LIMITS_KMH[-1]) / 3.6
