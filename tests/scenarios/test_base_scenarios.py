"""The five hand-made roads keep the rules that the rest of the package relies on."""

import itertools
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections import defaultdict
from pathlib import Path

import pytest
import sumo

BASE = Path(__file__).parents[2] / "scenarios" / "base"
NAMES = ("highway_fast", "highway_merge", "rural_curve", "urban_intersection", "urban_roundabout")
PROGRAMS = Path(sumo.SUMO_HOME) / "bin"
DEPART_S, HORIZON_S, NEAR_M = 10.0, 75.0, 120.0
CONVOY = re.compile(r"V\d{3}")
RUNS = ((1, 1.0), (7, 0.7), (13, 1.3))  # seed, factor of density
CONFIG = {
    "begin": "0",
    "end": "120",
    "step-length": "0.1",
    "time-to-teleport": "-1",
    "collision.action": "warn",
    "collision.mingap-factor": "0",
    "collision.check-junctions": "true",
    "no-step-log": "true",
    "duration-log.disable": "true",
}

pytestmark = pytest.mark.parametrize("name", NAMES)


def run(program: str, *arguments: str | Path) -> str:
    done = subprocess.run([PROGRAMS / program, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return (done.stdout + done.stderr).strip()


def routes(name: str) -> ET.Element:
    return ET.parse(BASE / name / "routes.rou.xml").getroot()


def convoy(name: str) -> list[ET.Element]:
    """The convoy's cars, the ego first."""
    cars = [car for car in routes(name).iter("vehicle") if CONVOY.fullmatch(car.get("id"))]
    return sorted(cars, key=lambda car: car.get("id"))


@pytest.fixture(scope="session")
def traces(tmp_path_factory):
    """Runs each road once; gives the steps of each convoy car, and the collisions."""

    def trace(name: str, seed: int, density: float) -> tuple[dict[str, list[dict[str, str]]], int, str]:
        if (name, seed, density) not in known:
            folder = tmp_path_factory.mktemp(name)
            config = write_variant(name, density, folder)
            fcd, collisions = folder / "fcd.xml", folder / "collisions.xml"
            outputs = (
                "--fcd-output",
                fcd,
                "--collision-output",
                collisions,
                "--fcd-output.attributes",
                "lane,odometer",
            )
            ids = ",".join(car.get("id") for car in convoy(name))
            said = run("sumo", "-c", config, "--seed", seed, *outputs, "--device.fcd.explicit", ids)
            steps = defaultdict(list)
            for step in ET.parse(fcd).getroot():
                for car in step:
                    steps[car.get("id")].append({"time": step.get("time"), **car.attrib})
            known[name, seed, density] = (dict(steps), len(ET.parse(collisions).getroot()), said)
        return known[name, seed, density]

    known: dict = {}
    return trace


def write_variant(name: str, density: float, folder: Path) -> Path:
    """Writes the scenario with its flows scaled; the option `--scale` would scale the convoy too."""
    for file in ("network.net.xml", "scenario.sumocfg"):
        shutil.copy(BASE / name / file, folder)
    root = routes(name)
    for flow in root.iter("flow"):
        flow.set("vehsPerHour", str(density * float(flow.get("vehsPerHour"))))
    ET.ElementTree(root).write(folder / "routes.rou.xml")
    return folder / "scenario.sumocfg"


def test_folder_is_complete(name):
    folder = BASE / name
    wanted = ["network.net.xml", "routes.rou.xml", "scenario.sumocfg", "README.md", "road.png"]
    wanted += [f"source/{name}.{part}" for part in ("nod.xml", "edg.xml", "con.xml", "netccfg")]
    assert [file for file in wanted if not (folder / file).is_file()] == []
    assert "road.png" in (folder / "README.md").read_text()


def test_config_says_what_every_run_needs_and_writes_nothing(name):
    config = ET.parse(BASE / name / "scenario.sumocfg").getroot()
    values = {option.tag: option.get("value") for section in config for option in section}
    assert {key: values.get(key) for key in CONFIG} == CONFIG
    assert values["seed"].isdigit()
    assert (values["net-file"], values["route-files"]) == ("network.net.xml", "routes.rou.xml")
    assert not [key for key in values if "output" in key]


def test_convoy_departs_as_one(name):
    cars = convoy(name)
    assert 3 <= len(cars) <= 6
    assert [car.get("id") for car in cars] == [f"V{i:03d}" for i in range(1, len(cars) + 1)]
    assert [car.get("type") for car in cars] == ["ego"] + ["convoy_car"] * (len(cars) - 1)
    assert len({(car.get("route"), car.get("depart"), car.get("departLane")) for car in cars}) == 1
    assert cars[0].get("depart") == "10.00"
    assert not [stop for car in cars for stop in car.iter("stop")]
    places = [float(car.get("departPos")) for car in cars]
    headways = [(b - a - 4.6) / float(cars[0].get("departSpeed")) for a, b in itertools.pairwise(places)]
    assert all(1.2 <= headway <= 1.9 for headway in headways), headways


def test_types_are_explicit(name):
    kinds = {kind.get("id"): kind for kind in routes(name).iter("vType")}
    assert {"ego", "convoy_car", "car", "truck"} <= set(kinds)
    for kind in kinds.values():
        assert {"sigma", "speedFactor", "tau", "accel", "decel", "emergencyDecel", "minGap"} <= set(kind.attrib)
        assert re.fullmatch(r"normc\(([\d.]+,){3}[\d.]+\)", kind.get("speedFactor"))
    assert kinds["ego"].get("sigma") == "0"
    for kind in ("ego", "convoy_car"):
        assert [kinds[kind].get(key) for key in ("lcSpeedGain", "lcKeepRight", "lcCooperative")] == [
            "0",
            "0",
            "-1",
        ]


def test_background_is_flows_ahead_and_around(name):
    root = routes(name)
    flows = list(root.iter("flow"))
    needed = {"type", "begin", "end", "vehsPerHour", "route", "departLane", "departPos", "departSpeed"}
    assert all(needed <= set(flow.attrib) for flow in flows)
    assert len({flow.get("type") for flow in flows}) >= 2
    assert len({flow.get("route") for flow in flows}) >= 3
    assert any(flow.get("begin") == "0" and flow.get("departPos") != "base" for flow in flows)
    assert len({car.get("type") for car in root.iter("vehicle")}) == 2


@pytest.mark.parametrize("options", ["--seed 3", "--seed 5 --scale 0.7", "--seed 11 --scale 1.3"])
def test_plain_sumo_has_nothing_to_warn_of(name, options):
    assert run("sumo", "-c", BASE / name / "scenario.sumocfg", *options.split()) == ""


@pytest.mark.parametrize(("seed", "density"), RUNS)
def test_convoy_is_inserted_at_once_and_drives_on(name, seed, density, traces):
    steps, n_collisions, said = traces(name, seed, density)
    assert (n_collisions, said) == (0, "")
    assert set(steps) == {car.get("id") for car in convoy(name)}
    assert {trace[0]["time"] for trace in steps.values()} <= {"10.00", "10.10"}
    assert float(steps["V001"][-1]["time"]) >= DEPART_S + HORIZON_S


@pytest.mark.parametrize(("seed", "density"), RUNS)
def test_convoy_keeps_its_lane_and_the_ego_its_leader(name, seed, density, traces):
    steps, _, _ = traces(name, seed, density)
    for trace in steps.values():
        lanes = [lane for lane, _ in itertools.groupby(step["lane"] for step in trace)]
        edges = [lane.rpartition("_")[0] for lane in lanes]
        assert all(a != b for a, b in itertools.pairwise(edges)), lanes
    start = {car.get("id"): float(car.get("departPos")) for car in convoy(name)}
    gaps = [float(b["odometer"]) + start["V002"] - float(a["odometer"]) - start["V001"]
            for a, b in zip(steps["V001"], steps["V002"], strict=False)]  # fmt: skip
    assert 0 < min(gaps)
    assert max(gaps) < NEAR_M


def test_road_is_long_enough_for_a_fast_ego(name):
    net = ET.parse(BASE / name / "network.net.xml").getroot()
    lanes = {edge.get("id"): edge[0] if edge[0].tag == "lane" else edge.find("lane") for edge in net.iter("edge")}
    ego = convoy(name)[0]
    route = next(route for route in routes(name).iter("route") if route.get("id") == ego.get("route"))
    kind = next(kind for kind in routes(name).iter("vType") if kind.get("id") == "ego")
    highest = float(kind.get("speedFactor").rstrip(")").split(",")[-1])
    factor, left_m, seconds = 1.2 * highest, -float(ego.get("departPos")), 0.0
    for edge in route.get("edges").split():
        left_m += float(lanes[edge].get("length"))
        seconds += max(left_m, 0.0) / (factor * float(lanes[edge].get("speed")))
        left_m = min(left_m, 0.0)
    assert seconds >= HORIZON_S


def test_sources_rebuild_the_network(name, tmp_path):
    shutil.copytree(BASE / name / "source", tmp_path / "source")
    run("netconvert", "-c", tmp_path / "source" / f"{name}.netccfg")
    rebuilt, kept = (ET.canonicalize(from_file=folder / "network.net.xml", strip_text=True)
                     for folder in (tmp_path, BASE / name))  # fmt: skip
    assert rebuilt == kept
