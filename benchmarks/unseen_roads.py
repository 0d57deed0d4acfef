"""Makes the roads that no training has seen: `python -m benchmarks.unseen_roads [--seed 1]`.

SUMO's netgenerate and netconvert build seven kinds of road from the seed: random, a town (random with two lanes and
lights), spider, grid, hairpins, a ring, and an old town imported from an OpenStreetMap file that is drawn, too. On each
a convoy of four drives a long route without a U-turn, in random traffic. Seed 1 made the set in `scenarios/unseen`,
which `roadsense evaluate` drives beside the held-out scenarios. The networks are gzip'd, which SUMO reads: 0.2 MB, not
1.3.
"""

import gzip
import itertools
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import sumo
import sumolib
import tyro

from benchmarks.osm_like import IMPORT, draw_old_town, write_osm

KINDS: dict[str, tuple[str, ...]] = {
    "random": ("--rand", "--rand.iterations", "60", "--rand.min-distance", "220", "--rand.max-distance", "420"),
    "town": ("--rand", "--rand.iterations", "70", "--rand.min-distance", "200", "--rand.max-distance", "350",
             "--default.lanenumber", "2", "--tls.guess", "true"),
    "spider": ("--spider", "--spider.arm-number", "7", "--spider.circle-number", "4", "--spider.space-radius", "260"),
    "grid": ("--grid", "--grid.number", "6", "--grid.length", "260"),
}  # fmt: skip
OTHER_KINDS = ("hairpin", "ring", "old_town")
SPEED_MPS = 16.7
N_CARS, SPACING_M, FIRST_CAR_M, DEPART_S = 4, 26.0, 10.0, 20.0
DEPART_MPS = 10.0
WAY_M = 1400.0
"""The convoy's way is at least this long: 50 s at 25 m/s and the convoy itself."""
N_FLOWS, FLOW_PER_H = 14, 130
TYPES = """    <vType id="ego" length="4.5" sigma="0" speedFactor="normc(1.05,0.03,1.0,1.1)" lcSpeedGain="0"/>
    <vType id="convoy_car" length="4.6" sigma="0.2" speedFactor="normc(1,0.03,0.94,1.05)" lcSpeedGain="0"/>
    <vType id="car" length="4.4" sigma="0.3" speedFactor="normc(1,0.1,0.8,1.2)"/>
"""
CONFIG = """<configuration>
    <input><net-file value="network.net.xml.gz"/><route-files value="routes.rou.xml"/></input>
    <time><begin value="0"/><end value="120"/><step-length value="0.1"/></time>
    <processing>
        <eager-insert value="true"/><time-to-teleport value="-1"/><collision.action value="warn"/>
        <collision.mingap-factor value="0"/><collision.check-junctions value="true"/>
    </processing>
    <report><no-step-log value="true"/><duration-log.disable value="true"/></report>
</configuration>
"""


@dataclass(frozen=True)
class UnseenConfig:
    """Settings.

    Attributes:
        output_dir: folder for the scenarios, one folder each.
        seed: seed of roads and traffic.
    """

    output_dir: Path = Path("scenarios/unseen")
    seed: int = 1


def make_unseen(config: UnseenConfig) -> list[Path]:
    """Writes one scenario of each kind and returns the paths of their `.sumocfg`."""
    rng = np.random.default_rng(config.seed)
    paths = []
    for kind in (*KINDS, *OTHER_KINDS):
        folder = config.output_dir / f"unseen_{kind}"
        folder.mkdir(parents=True, exist_ok=True)
        network = folder / "network.net.xml.gz"
        with tempfile.TemporaryDirectory() as scratch:
            text = build_network(kind, config.seed, Path(scratch)).read_text()
        # Without the comment that holds the time and this machine's paths, the same seed gives the same network.
        text = re.sub(r"<!--.*?-->", "", text, count=1, flags=re.DOTALL)
        network.write_bytes(gzip.compress(text.encode(), mtime=0))
        net = sumolib.net.readNet(str(network))
        (folder / "routes.rou.xml").write_text(f"<routes>\n{TYPES}{''.join(write_traffic(net, rng))}</routes>\n")
        (folder / "scenario.sumocfg").write_text(CONFIG)
        paths.append(folder / "scenario.sumocfg")
    return paths


def build_network(kind: str, seed: int, folder: Path) -> Path:
    """Builds the network of a kind in a folder and returns its path."""
    network = folder / "network.net.xml"
    if kind in KINDS:
        run("netgenerate", *KINDS[kind], "--seed", str(seed), "--default.speed", str(SPEED_MPS),
            "--no-turnarounds", "true", "-o", str(network))  # fmt: skip
    elif kind == "old_town":
        write_osm(folder / "town.osm", *draw_old_town(np.random.default_rng((seed, len(KINDS)))))
        run("netconvert", "--osm-files", str(folder / "town.osm"), *IMPORT, "-o", str(network))
    else:
        write_bent_road(folder, hairpin_points() if kind == "hairpin" else ring_points(), network)
    return network


def run(program: str, *arguments: str) -> None:
    command = [str(Path(sumo.SUMO_HOME) / "bin" / program), *arguments, "--output.street-names", "false"]
    subprocess.run(command, check=True, capture_output=True)


def hairpin_points() -> list[tuple[float, float]]:
    """Returns a road that climbs in six bends of 180 degrees with a radius of 22 m."""
    points, radius_m, straight_m = [(0.0, 0.0)], 22.0, 300.0
    for bend in range(7):
        sign, y_m = (1 if bend % 2 == 0 else -1), 2 * radius_m * bend
        x_m = straight_m if sign > 0 else 0.0
        angles = np.linspace(-math.pi / 2, math.pi / 2, 9)
        points += [(x_m + sign * radius_m * math.cos(a), y_m + radius_m + radius_m * math.sin(a)) for a in angles]
    return points


def ring_points() -> list[tuple[float, float]]:
    """Returns one turn of a ring road with a radius of 330 m, open by a few metres."""
    return [(330 * math.cos(angle), 330 * math.sin(angle)) for angle in np.linspace(0, 1.98 * math.pi, 72)]


def write_bent_road(folder: Path, points: list[tuple[float, float]], network: Path) -> None:
    """Builds a two-lane road along a line, cut in three edges."""
    cuts = [0, len(points) // 3, 2 * len(points) // 3, len(points) - 1]
    nodes = "".join(
        f'<node id="n{i}" x="{points[cut][0]:.1f}" y="{points[cut][1]:.1f}"/>' for i, cut in enumerate(cuts)
    )
    edges = "".join(
        f'<edge id="e{i}" from="n{i}" to="n{i + 1}" numLanes="2" speed="{SPEED_MPS}" shape="'
        + " ".join(f"{x:.1f},{y:.1f}" for x, y in points[first : last + 1]) + '"/>'
        for i, (first, last) in enumerate(itertools.pairwise(cuts))
    )  # fmt: skip
    sources = {"road.nod.xml": f"<nodes>{nodes}</nodes>", "road.edg.xml": f"<edges>{edges}</edges>"}
    for name, text in sources.items():
        (folder / name).write_text(text)
    run("netconvert", "-n", str(folder / "road.nod.xml"), "-e", str(folder / "road.edg.xml"), "-o", str(network))


def write_traffic(net: sumolib.net.Net, rng: np.random.Generator) -> Iterator[str]:
    """Yields the route file's lines: random traffic, and the convoy on the longest way of many."""
    edges = [edge for edge in net.getEdges() if edge.allows("passenger")]
    ways = [walk(edges[int(rng.integers(len(edges)))], rng) for _ in range(400)]
    room_m = FIRST_CAR_M + N_CARS * SPACING_M
    fitting = [way for way in ways if way[0].getLength() > room_m and way[0].getSpeed() > DEPART_MPS] or ways
    way = max(fitting, key=lambda one: min(length_of(one), WAY_M) + 1e-3 * len(set(one)))
    yield f'    <route id="way" edges="{" ".join(edge.getID() for edge in way)}"/>\n'
    others = [way] if len(edges) < N_FLOWS else [ways[int(i)] for i in rng.integers(len(ways), size=N_FLOWS)]
    for number, other in enumerate(others):
        yield (
            f'    <flow id="flow_{number}" type="car" begin="0" end="120" vehsPerHour="{FLOW_PER_H}" departLane="best" '
            f'departSpeed="desired"><route edges="{" ".join(edge.getID() for edge in other)}"/></flow>\n'
        )
    for place in reversed(range(N_CARS)):
        kind = "ego" if place == 0 else "convoy_car"
        yield (
            f'    <vehicle id="V{place + 1:03d}" type="{kind}" route="way" depart="{DEPART_S:g}" departLane="0" '
            f'departPos="{FIRST_CAR_M + place * SPACING_M:g}" departSpeed="{DEPART_MPS:g}"/>\n'
        )


def walk(edge: sumolib.net.edge.Edge, rng: np.random.Generator) -> list[sumolib.net.edge.Edge]:
    """Returns a random way that never turns back, until it is long enough or ends."""
    way = [edge]
    while length_of(way) < WAY_M:
        onward = [
            one for one in way[-1].getOutgoing() if one.getToNode() != way[-1].getFromNode() and one.allows("passenger")
        ]
        if not onward:
            break
        way.append(sorted(onward, key=lambda one: one.getID())[int(rng.integers(len(onward)))])
    return way


def length_of(way: list[sumolib.net.edge.Edge]) -> float:
    return sum(edge.getLength() for edge in way)


def main() -> int:
    for path in make_unseen(tyro.cli(UnseenConfig, description=__doc__)):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
