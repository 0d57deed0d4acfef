"""Network files, plain or gzip'd: an edge's length, and copies with the friction of a wet road.

SUMO applies friction only to vehicles with a friction device, and then in every car-following model alike: it lowers
the highest speed on the lane, by 10 % at a friction of 0.7, and does not change braking
(https://sumo.dlr.de/docs/Simulation/Friction.html, and measured with 1.28).
"""

import gzip
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from roadsense.utils.safe_xml import is_gzip, open_unpacked

DECIMALS = 4
_LANE = re.compile(rb"<lane\b[^>]*>")
_SHAPE = re.compile(rb"""\bshape\s*=\s*["']([^"']*)["']""")
_FRICTION = re.compile(rb"""\bfriction\s*=\s*["']([^"']*)["']""")
_CURVE = (-0.3491, 0.8922, 0.4493)
"""Speed factor as a parabola of friction, from SUMO's documentation; at 1 SUMO leaves the speed unchanged."""


class Edge(NamedTuple):
    """An edge of a network: the length of its shortest lane, in m, and the highest limit of its lanes, in m/s."""

    length_m: float
    limit_mps: float


def read_edges(network_path: Path, names: Collection[str]) -> dict[str, Edge]:
    """Returns the edges with these names that exist. The network has passed the checks."""
    found = {}
    with open_unpacked(network_path) as file:
        for _, element in ET.iterparse(file):  # noqa: S314 -- checked when the base was opened
            if element.tag == "edge":
                lanes = element.findall("lane")
                if element.get("id") in names and lanes:
                    lengths, limits = ([float(lane.get(key, "0")) for lane in lanes] for key in ("length", "speed"))
                    found[element.get("id", "")] = Edge(min(lengths), max(limits))
                element.clear()
    return found


def hash_road(network_path: Path) -> str:
    """Returns the SHA-256 of where the lanes of a network lie: the same for copies with another friction or limit."""
    with open_unpacked(network_path) as file:
        shapes = [_SHAPE.search(lane) for lane in _LANE.findall(file.read())]
    return hashlib.sha256(b";".join(sorted(shape[1] for shape in shapes if shape))).hexdigest()


def write_wet_network(network_path: Path, target: Path, friction: float) -> None:
    """Writes a copy of a network with the friction of every lane times a factor; gzip'd if the original is."""
    with open_unpacked(network_path) as file:
        content = scale_friction(file.read(), friction)
    target.write_bytes(gzip.compress(content, mtime=0) if is_gzip(network_path) else content)


def speed_share(friction: float) -> float:
    """Returns the factor by which friction lowers the highest speed on a lane."""
    square, linear, constant = _CURVE
    return 1.0 if friction >= 1.0 else square * friction**2 + linear * friction + constant


def scale_friction(network: bytes, factor: float) -> bytes:
    """Returns a network with the friction of every lane times a factor."""

    def _scale_lane(match: re.Match[bytes]) -> bytes:
        lane = match[0]
        own = _FRICTION.search(lane)
        value = round(float(own[1] if own else b"1") * factor, DECIMALS)
        bare = lane if own is None else lane[: own.start()].rstrip() + lane[own.end() :]
        return bare.replace(b"<lane", b'<lane friction="%a"' % value, 1)

    return _LANE.sub(_scale_lane, network)
