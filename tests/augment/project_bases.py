"""Six bases as a project with real drives has them: short roads, no traffic, devices and outputs left inside."""

import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import sumo

CONFIG = """<configuration>
    <input><net-file value="road.net.xml"/><route-files value="drive.rou.xml"/></input>
    <time><begin value="0"/><end value="{end_s}"/><step-length value="0.1"/></time>
    <output><fcd-output value="fcd.xml"/><fcd-output.geo value="false"/></output>
    <processing><collision.action value="warn"/></processing>
</configuration>
"""
DEVICES = """
        <param key="has.ssm.device" value="true"/>
        <param key="device.ssm.measures" value="TTC DRAC"/>
        <param key="device.ssm.thresholds" value="3.0 3.0"/>
        <param key="device.ssm.range" value="60"/>
        <param key="device.ssm.file" value="ssm.xml"/>
"""


@dataclass(frozen=True)
class ProjectBase:
    """A road through points in m, split into two edges at one of them, and a convoy on it.

    Attributes:
        points_m: points of the road.
        split: number of the point where the second edge begins.
        limit_mps: its speed limit.
        n_cars: cars of the convoy.
        spacing_m: distance between their fronts at departure.
        speed_mps: speed at departure.
        n_lanes: lanes of the road.
        depart_s: departure of the convoy.
        end_s: end of the simulation.
    """

    points_m: tuple[tuple[float, float], ...]
    split: int
    limit_mps: float
    n_cars: int
    spacing_m: float
    speed_mps: float
    n_lanes: int = 1
    depart_s: float = 5.0
    end_s: float = 90.0

    def write(self, folder: Path) -> None:
        """Writes the base, its network built with netconvert."""
        folder.mkdir(parents=True)
        self._build_network(folder)
        cars = "".join(
            f'<vehicle id="V{number + 1:03d}" type="car" route="all" depart="{self.depart_s:g}" '
            f'departPos="{12 + number * self.spacing_m:g}" departSpeed="{self.speed_mps:g}">{DEVICES}</vehicle>\n'
            for number in reversed(range(self.n_cars))
        )
        (folder / "drive.rou.xml").write_text(
            '<routes><vType id="car" length="4.3" accel="2.3" decel="4.5" sigma="0.4"/>\n'
            f'<route id="all" edges="in out"/>\n{cars}</routes>'
        )
        (folder / "drive.sumocfg").write_text(CONFIG.format(end_s=f"{self.end_s:g}"))

    def _build_network(self, folder: Path) -> None:
        ends = {"a": self.points_m[0], "b": self.points_m[self.split], "c": self.points_m[-1]}
        nodes = "".join(f'<node id="{name}" x="{x}" y="{y}"/>' for name, (x, y) in ends.items())
        parts = {"in": self.points_m[: self.split + 1], "out": self.points_m[self.split :]}
        edges = "".join(
            f'<edge id="{name}" from="{"a" if name == "in" else "b"}" to="{"b" if name == "in" else "c"}" '
            f'numLanes="{self.n_lanes}" speed="{self.limit_mps}" shape="{" ".join(f"{x},{y}" for x, y in part)}"/>'
            for name, part in parts.items()
        )
        for name, text in {"nodes": nodes, "edges": edges}.items():
            (folder / f"{name}.xml").write_text(f"<{name}>{text}</{name}>")
        command = [Path(sumo.SUMO_HOME) / "bin" / "netconvert", "-n", "nodes.xml", "-e", "edges.xml"]
        subprocess.run([*command, "-o", "road.net.xml"], cwd=folder, check=True, capture_output=True)
        for name in ("nodes", "edges"):
            (folder / f"{name}.xml").unlink()

    @property
    def length_m(self) -> float:
        """Length of the road through its points."""
        ways = [(x1 - x0, y1 - y0) for (x0, y0), (x1, y1) in pairwise(self.points_m)]
        return sum((x * x + y * y) ** 0.5 for x, y in ways)


HAIRPIN = ((0, 0), (420, 10), (452, 18), (464, 34), (452, 50), (420, 58), (-60, 62))
BASES = {
    "hairpin": ProjectBase(HAIRPIN, 1, 11.2, 3, 17.0, 6.0),
    "two lanes": ProjectBase(((0, 0), (900, 0), (1900, 120)), 1, 16.7, 4, 29.0, 13.0, n_lanes=2),
    "starts-at-0": ProjectBase(((0, 0), (500, 60), (1150, 40)), 1, 13.9, 3, 22.0, 9.0, depart_s=0.0, end_s=65.0),
    "quarry_785m": ProjectBase(((0, 0), (385, 0), (625, 320)), 1, 12.5, 3, 16.0, 8.0, end_s=70.0),
    "six_cars": ProjectBase(((0, 0), (640, 80), (1500, 90)), 1, 15.3, 6, 14.0, 10.0, end_s=120.0),
    "village": ProjectBase(((0, 0), (300, 40), (560, -30), (1010, 10)), 2, 8.3, 5, 15.0, 2.0, end_s=100.0),
}


def write_project_bases(folder: Path) -> Path:
    """Writes all six bases below a folder and returns it."""
    for name, base in BASES.items():
        base.write(folder / name)
    return folder
