"""Makes the networks of `scenarios/bends`: `python -m benchmarks.bent_roads`.

SUMO's netconvert builds a mountain pass of seven hairpins and a ring road with four arms, both with a lane each way.
The networks are gzip'd, which SUMO reads. Routes and settings beside them are written by hand.
"""

import gzip
import math
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from benchmarks.unseen_roads import run

Point = tuple[float, float, float]

N_HAIRPINS, GRADE = 7, 0.06
HAIRPIN_RADII_M = (24.0, 18.0, 28.0, 16.0, 22.0, 30.0, 20.0)
LEGS_M = (330.0, 190.0, 260.0, 160.0, 300.0, 180.0, 330.0, 280.0)
LEG_MPS, HAIRPIN_SIDEWAYS_MPS2 = 22.22, 3.2
RING_RADIUS_M, ARM_M, RING_MPS = 130.0, 220.0, 13.89


@dataclass(frozen=True)
class BentRoadsConfig:
    """Settings.

    Attributes:
        output_dir: folder of the scenarios.
    """

    output_dir: Path = Path("scenarios/bends")


@dataclass(frozen=True)
class Road:
    """A road with a lane each way: `name` one way, `name_back` the other.

    Attributes:
        name: id of its edge.
        points: x, y, z along its middle [m].
        limit_mps: speed limit.
        priority: netconvert's; the higher one goes first.
    """

    name: str
    points: Sequence[Point]
    limit_mps: float
    priority: int = 6


def make_networks(config: BentRoadsConfig) -> list[Path]:
    """Writes the network of each road and returns their paths."""
    paths = []
    for name, roads in (("mountain_pass", list(draw_pass())), ("ring_road", list(draw_ring()))):
        path = config.output_dir / name / "network.net.xml.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(build(roads).encode(), mtime=0))
        paths.append(path)
    return paths


def draw_pass() -> Iterator[Road]:
    """Yields legs that climb to and fro, and the hairpins between them, slow enough for `HAIRPIN_SIDEWAYS_MPS2`."""
    here, heading_rad = np.zeros(3), 0.0
    for number, length_m in enumerate(LEGS_M):
        along_m = np.linspace(0, length_m, 7)
        leg = np.array([here + offset(heading_rad, m, 6 * math.sin(math.pi * m / length_m)) for m in along_m])
        yield Road(f"leg{number}", [tuple(point) for point in leg], LEG_MPS)
        here = leg[-1]
        if number == N_HAIRPINS:
            return
        radius_m, side = HAIRPIN_RADII_M[number], 1 if number % 2 == 0 else -1
        turned = [(radius_m * math.sin(a), side * radius_m * (1 - math.cos(a)), radius_m * a)
                  for a in np.linspace(0, math.pi, 13)]  # fmt: skip
        bend = np.array([here + offset(heading_rad, *place_m) for place_m in turned])
        limit_mps = math.sqrt(HAIRPIN_SIDEWAYS_MPS2 * radius_m)
        yield Road(f"hairpin{number}", [tuple(point) for point in bend], limit_mps)
        here, heading_rad = bend[-1], heading_rad + side * math.pi


def offset(heading_rad: float, along_m: float, left_m: float, way_m: float | None = None) -> np.ndarray:
    """Returns the vector along and to the left of a heading, higher by the grade times the way."""
    cos, sin = math.cos(heading_rad), math.sin(heading_rad)
    climb_m = GRADE * (along_m if way_m is None else way_m)
    return np.array([along_m * cos - left_m * sin, along_m * sin + left_m * cos, climb_m])


def draw_ring() -> Iterator[Road]:
    """Yields four arcs of a circle, driven to the left, and an arm at the begin of each."""
    for number in range(4):
        start_rad = number * math.pi / 2
        angles = np.linspace(start_rad, start_rad + math.pi / 2, 10)
        yield Road(f"arc{number}", [on_circle(angle, RING_RADIUS_M) for angle in angles], RING_MPS)
        ends = [on_circle(start_rad, RING_RADIUS_M + ARM_M), on_circle(start_rad, RING_RADIUS_M)]
        yield Road(f"arm{number}", ends, RING_MPS, priority=2)


def on_circle(angle_rad: float, radius_m: float) -> Point:
    return radius_m * math.cos(angle_rad), radius_m * math.sin(angle_rad), 0.0


def build(roads: Sequence[Road]) -> str:
    """Returns the network that netconvert makes of roads that meet where their ends do."""
    nodes: dict[tuple[str, ...], str] = {}
    edges = []
    for road in roads:
        shape = [tuple(f"{value:.2f}".replace("-0.00", "0.00") for value in point) for point in road.points]
        start, end = (nodes.setdefault(point, f"n{len(nodes)}") for point in (shape[0], shape[-1]))
        for name, ends, line in ((road.name, (start, end), shape), (f"{road.name}_back", (end, start), shape[::-1])):
            edges.append(
                f'<edge id="{name}" from="{ends[0]}" to="{ends[1]}" priority="{road.priority}" numLanes="1" '
                f'speed="{road.limit_mps:.2f}" shape="{" ".join(",".join(point) for point in line)}"/>'
            )
    points = (f'<node id="{name}" x="{x}" y="{y}" z="{z}"/>' for (x, y, z), name in nodes.items())
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "road.nod.xml").write_text(f"<nodes>{''.join(points)}</nodes>")
        (folder / "road.edg.xml").write_text(f"<edges>{''.join(edges)}</edges>")
        run("netconvert", "-n", str(folder / "road.nod.xml"), "-e", str(folder / "road.edg.xml"),
            "--no-turnarounds", "true", "-o", str(folder / "out.net.xml"))  # fmt: skip
        text = (folder / "out.net.xml").read_text()
    # Without the comment that holds the time and this machine's paths, it is the same network each time.
    head, _, tail = text.partition("<!--")
    return head + tail.partition("-->")[2].lstrip()


def main() -> int:
    for path in make_networks(tyro.cli(BentRoadsConfig, description=__doc__)):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
