"""Bases as other people write them: what works, what is noted, and what is refused with a way out."""

import gzip
import math
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import sumo

from roadsense.augment.bases.base import Base
from roadsense.augment.check_base import CheckBaseConfig, check_and_print
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.variations import draw_variations
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.augment.validation.unvaried import simulate_unvaried
from roadsense.errors import RoadSenseError, ScenarioError
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from tests.conftest import CONFIG, FLOWS, TYPES, convoy

WITH_MORE = CONFIG.replace("<route-files", '<additional-files value="more.add.xml"/><route-files')
AREA = '<parkingArea id="p" lane="west_0" startPos="800" endPos="900" roadsideCapacity="5"/>'
TAZ = '<taz id="a" edges="west"/><taz id="b" edges="east"/>'
ROUTES = '<routeDistribution id="rd"><route id="r" edges="west east" probability="1"/></routeDistribution>'
CALIBRATOR = (
    '<calibrator id="count" edge="west" pos="50"><route id="own" edges="west east"/>'
    '<flow begin="0" end="100" route="own" vehsPerHour="900" type="truck"/></calibrator>'
)
DETECTORS = '<inductionLoop id="d" lane="west_0" pos="9" period="60" file="o.xml"/><edgeData id="e" file="e.xml"/>'


@dataclass(frozen=True)
class Habit:
    """What a base has, and what must be noted or refused; nothing expected: it works and nothing is noted."""

    traffic: str = FLOWS + convoy()
    config: str = CONFIG
    types: str = TYPES
    more: str = ""
    note: str = ""
    refused: str = ""
    flows: int = 2


def flow(rate: str, place: str = 'route="through"', times: str = 'begin="0" end="100"') -> str:
    """One flow on the second lane, and the convoy."""
    return f'<flow id="f" type="car" {place} {times} departLane="1" departSpeed="desired" {rate}/>' + convoy()


def option(text: str) -> str:
    """The usual configuration with one more section or option."""
    return CONFIG.replace("<processing>", f"<processing>{text}")


HABITS = {
    "parking": Habit(config=WITH_MORE, more=AREA),
    "a parked car": Habit(
        '<vehicle id="parked" type="car" route="through" depart="0" departPos="790" departLane="0">'
        '<stop parkingArea="p" duration="1000"/></vehicle>' + convoy(), WITH_MORE, more=AREA, flows=0,
        note="Density is not varied",
    ),
    "trips of TAZ": Habit(flow('vehsPerHour="100"', 'fromTaz="a" toTaz="b"'), WITH_MORE, more=TAZ, flows=1),
    "trips of junctions": Habit(
        flow('vehsPerHour="100"', 'fromJunction="a" toJunction="c"'), option('<junction-taz value="true"/>'), flows=1
    ),
    "a trip by way of an edge": Habit(flow('vehsPerHour="100"', 'from="west" via="east" to="east"'), flows=1),
    "a routeDistribution": Habit(ROUTES + FLOWS.replace('route="through"', 'route="rd"') + convoy()),
    "the convoy's routeDistribution": Habit(
        ROUTES + FLOWS + convoy().replace('route="through"', 'route="rd"'), note="one edge that they name"
    ),
    "routes inside cars": Habit(
        FLOWS + convoy().replace('route="through" ', "").replace("/>", '><route edges="west east"/></vehicle>')
    ),
    "random periods": Habit(flow('period="exp(0.1)"'), flows=1),
    "a period as a time of day": Habit(flow('period="00:00:10"'), flows=1),
    "a flow's times of day": Habit(flow('vehsPerHour="300"', times='begin="00:00:05" end="0:01:40"'), flows=1),
    "a flow's times with days": Habit(flow('vehsPerHour="300"', times='begin="0:00:00:05" end="0:00:01:40"'), flows=1),
    "a configuration's times of day": Habit(
        config=CONFIG.replace('begin value="0"', 'begin value="0:0:0"').replace('"120"', '"00:02:00"')
    ),
    "the convoy's time of day": Habit(FLOWS + convoy().replace('depart="10.00"', 'depart="00:00:10"')),
    "a number without an end": Habit(
        flow('number="5"', times='begin="0"'), note="a number without an end has no rate. Give it an end", flows=0
    ),
    "a flow that waits": Habit(flow('number="3"', times='begin="triggered"'), note="expected begin as a time", flows=0),
    "negative ids": Habit(FLOWS.replace('id="cars"', 'id="-12#1"') + convoy()),
    "ids of other scripts": Habit(FLOWS.replace('id="cars"', 'id="東京"') + convoy()),
    "a flow with the ego's name": Habit(FLOWS.replace('id="cars"', 'id="V001"') + convoy()),
    "an unknown option": Habit(config=option('<frobnicate value="1"/>'), note="left out of the configuration: frobni"),
    "options of how people walk": Habit(
        config=option('<time-to-impatience value="30"/><pedestrian.model value="striping"/>')
    ),
    "a port": Habit(config=option('<remote-port value="8813"/>'), note="configuration: remote-port"),
    "detectors": Habit(config=WITH_MORE, more=DETECTORS, note="inductionLoop 'd', edgeData 'e'"),
    "shapes": Habit(config=WITH_MORE, more='<poly id="x" type="b" color="red" shape="0,0 1,1 2,0"/>'),
    "a variable speed sign": Habit(
        config=WITH_MORE, note="SUMO warns of it",
        more='<variableSpeedSign id="v" lanes="west_0 west_1"><step time="0" speed="15"/></variableSpeedSign>',
    ),
    "a calibrator": Habit(FLOWS + CALIBRATOR + convoy(), note="flows of calibrators are left as they are: count"),
    "a calibrator in an interval": Habit(
        '<interval begin="0" end="99">' + FLOWS.replace('begin="0" end="100"', "") + "</interval>" + CALIBRATOR
        + convoy(), note="flows of calibrators are left as they are: count",
    ),
    "containers": Habit(
        FLOWS + '<container id="c" depart="0"><transport from="west" to="east" lines="cars"/></container>' + convoy(),
        note="<container> elements are left",
    ),
    "cars out of order in time": Habit(
        convoy() + '<vehicle id="y" type="car" route="through" depart="3" departLane="1" departPos="1400"/>' + FLOWS
    ),
    "a convoy of two": Habit(FLOWS + convoy(n_cars=2)),
    "a convoy of twelve": Habit(FLOWS + convoy(n_cars=12)),
    "a gap in the convoy's numbers": Habit(
        FLOWS + convoy().replace("V003", "V007"), note="V001, V002, V007 are V001, V002, V003 in the scenarios"
    ),
    "a convoy placed from the road's end": Habit(
        FLOWS + re.sub(r'departPos="3(\d+)"', lambda m: f'departPos="-{1200 - int(m[1])}"', convoy()),
        note="distances aren't varied",
    ),
    "a convoy that departs in turn": Habit(
        FLOWS + "".join(
            car.replace("10.00", str(12 - 2 * place)).replace(f'departPos="{300 + 40 * place}"', 'departPos="300"')
            for place, car in zip((2, 1, 0), convoy().splitlines(), strict=True)
        ), note="its cars don't depart at one time",
    ),
    "the best lane": Habit(FLOWS + convoy().replace('departLane="0"', 'departLane="best"'), note="departLane of"),
    "steps of a second": Habit(config=CONFIG.replace('"0.1"', '"1"')),
    "ballistic steps": Habit(config=option('<step-method.ballistic value="true"/>')),
    "no end": Habit(config=CONFIG.replace('<end value="120"/>', "")),
    "a model without sigma": Habit(
        types=TYPES.replace('id="ego"', 'id="ego" carFollowModel="EIDM"'), note="sigma of ego is not varied"
    ),
    "a model inside the type": Habit(
        types=TYPES.replace(' maxSpeed="25"/>', '><carFollowing-Krauss sigma="0.3"/></vType>'), note="SUMO warns of it"
    ),
    "a list with empty places": Habit(config=CONFIG.replace('"routes.rou.xml"', '" routes.rou.xml , "')),
    "nobody's attributes": Habit(FLOWS.replace('id="cars"', 'id="cars" mine="1"') + convoy()),
    "a document type": Habit("<!DOCTYPE>", refused="XML with a document type or entities is not opened.*Remove it"),
    "a path of Windows": Habit(
        config=CONFIG.replace("network.net", "C:\\Users\\me\\network.net"), refused="write / between folders"
    ),
    "an address": Habit(config=CONFIG.replace("network.net", "file:///tmp/network.net"), refused="Rename it"),
    "a convoy as a flow": Habit(
        FLOWS + '<flow id="V" type="car" route="through" begin="10" number="3" period="2"/>',
        refused="Write the convoy as <vehicle> or <trip> elements",
    ),
    "small letters": Habit(FLOWS + convoy().replace("V0", "v0"), refused="name them with --ego and --convoy"),
    "a decimal comma": Habit(FLOWS.replace('"600"', '"600,5"') + convoy(), refused="expected vehsPerHour from 0 to"),
    "an option as text": Habit(config=CONFIG.replace('<begin value="0"/>', "<begin> 0 </begin>")),
    "a remark at an option": Habit(config=CONFIG.replace('<begin value="0"/>', '<begin value="0" remark="at night"/>')),
    "a version of the configuration": Habit(config=CONFIG.replace("<configuration>", '<configuration version="1.20">')),
    "rerouting as of OpenStreetMap's wizard": Habit(
        config=option(
            '<device.rerouting.probability value="1"/><device.rerouting.adaptation-steps value="18"/>'
            '<device.rerouting.adaptation-interval value="10"/><routing-algorithm value="astar"/>'
        )
    ),
    "where rerouting writes to": Habit(
        config=option('<device.rerouting.output value="r.xml"/>'), note="configuration: device.rerouting.output"
    ),
    "types that take over": Habit(
        types=TYPES.replace(
            'speedDev="0.1"/>', 'speedDev="0.1"><param key="has.toc.device" value="true"/>'
            '<param key="device.toc.manualType" value="car"/><param key="device.toc.automatedType" value="truck"/>'
            '<param key="device.toc.file" value="t.xml"/></vType>'
        ), note="device.toc.file of vType 'car'",
    ),
    "the convoy departs as the simulation begins": Habit(
        FLOWS + convoy().replace('depart="10.00"', 'depart="begin"'), note="convoy_shift_s is 0 to"
    ),
    "a car that departs as the simulation begins": Habit(
        FLOWS + '<vehicle id="y" type="car" route="through" depart="begin" departLane="1" departPos="900"/>' + convoy()
    ),
    "the scale of a type": Habit(
        types=TYPES.replace('id="truck"', 'id="truck" scale="0.5"'), note="rates: truck x 0.5; single vehicles"
    ),
    "maxSpeed in km/h": Habit(
        types=TYPES.replace('maxSpeed="25"', 'maxSpeed="9 km/h"'), refused="expected maxSpeed as a number, got '9 km/h'"
    ),
    "an empty length": Habit(
        types=TYPES.replace('length="4.5"', 'length=""'), refused="id='ego'>: expected length as a number, got ''"
    ),
    "no number for tau": Habit(types=TYPES.replace('id="ego"', 'id="ego" tau="short"'), refused="expected tau as a"),
    "an option twice": Habit(
        config=CONFIG.replace('<begin value="0"/>', '<begin value="0"/><begin value="1"/>'), refused="Keep one"
    ),
    "no vehicle": Habit("<!-- none -->", refused="Write the convoy as <vehicle>"),
    "ids with spaces": Habit(FLOWS.replace('id="cars"', 'id="my cars"') + convoy(), refused="Invalid flow id 'my"),
    "an edge that is not there": Habit(types=TYPES.replace("west east", "west no"), refused="The edge 'no' within"),
    "a lane that is not there": Habit(
        FLOWS + convoy().replace('departLane="0"', 'departLane="9"'), refused="Invalid departLane"
    ),
    "a car twice": Habit(FLOWS + convoy() + convoy().splitlines()[0], refused="Another vehicle with the id 'V003'"),
    "the ego in front": Habit(
        FLOWS + convoy().replace("V001", "X").replace("V003", "V001").replace("X", "V003"), refused="order of their n"
    ),
}  # fmt: skip


def write(folder: Path, network: Path, habit: Habit) -> Path:
    """Writes a base with a habit below a folder and returns the folder."""
    road = folder / "road"
    road.mkdir(parents=True)
    text = f"<routes>{habit.types}{habit.traffic}</routes>"
    if habit.traffic == "<!DOCTYPE>":
        text = f'<!DOCTYPE routes SYSTEM "a.dtd"><routes>{TYPES}{FLOWS}{convoy()}</routes>'
    (road / "routes.rou.xml").write_text(text, encoding="utf-8")
    (road / "scenario.sumocfg").write_text(habit.config)
    (road / "more.add.xml").write_text(f"<additional>{habit.more}</additional>")
    shutil.copy(network, road / "network.net.xml")
    return folder


def prove(folder: Path) -> Base:
    """Reads a base and simulates it unvaried; raises what SUMO or the gate says against it."""
    (base,) = GenConfig(folder).read_bases()
    learned, report = simulate_unvaried(base)
    if report.refusals:
        raise ScenarioError("; ".join(report.refusals))
    return learned


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS)
def test_a_habit_works_or_is_named(tmp_path: Path, network: Path, habit: Habit) -> None:
    folder = write(tmp_path / "bases", network, habit)
    if habit.refused:
        with pytest.raises(RoadSenseError, match=habit.refused):
            prove(folder)
        return
    base = prove(folder)
    notes = [note for note in base.notes if "heavy vehicles" not in note and "under SUMO's seed" not in note]
    assert habit.note in " ".join(notes)
    assert bool(notes) == bool(habit.note)
    assert sum(headway_s < math.inf for headway_s in base.traffic.headways_s.values()) == habit.flows
    (draw,) = draw_variations(1, base.traffic, GenConfig().ranges_of(base), np.random.default_rng(1))
    write_scenario(base, replace(draw, levels=draw.levels | largest_convoy(base)), tmp_path / "drawn")
    path = tmp_path / "drawn" / "scenario.sumocfg"
    assert open_scenario(path).ego_id == "V001"
    assert "Error" not in run_sumo(path, ("--end", "15"))


def largest_convoy(base: Base) -> dict[str, int]:
    """The level of a convoy with as many cars as a draw may give it; none if its size is not drawn."""
    return {"convoy_size": 5} if base.traffic.most_spacing.get(5) else {}


def converted(folder: Path, network: Path, *options: str) -> bytes:
    """The network of the tests, made by netconvert with more options."""
    for name in ("road.nod.xml", "road.edg.xml"):
        shutil.copy(network.parent / name, folder)
    command = [Path(sumo.SUMO_HOME) / "bin" / "netconvert", "-n", "road.nod.xml", "-e", "road.edg.xml", *options]
    subprocess.run([*command, "-o", "made.net.xml"], cwd=folder, check=True, capture_output=True)
    return (folder / "made.net.xml").read_bytes()


@pytest.mark.parametrize("form", ["version 1.3", "version 0.9", "gzip'd", "left-hand", "far from the origin"])
def test_networks_of_any_form_are_driven(tmp_path: Path, network: Path, form: str) -> None:
    folder = write(tmp_path / "bases", network, Habit())
    old = network.read_bytes()
    (folder / "road" / "network.net.xml").write_bytes(
        {
            "version 1.3": lambda: re.sub(rb'(<net version=")[\d.]+', rb"\g<1>1.3", old),
            "version 0.9": lambda: re.sub(rb'(<net version=")[\d.]+', rb"\g<1>0.9", old),
            "gzip'd": lambda: gzip.compress(old),
            "left-hand": lambda: converted(tmp_path, network, "--lefthand"),
            "far from the origin": lambda: converted(tmp_path, network, "--offset.x", "5e5", "--offset.y", "5e6"),
        }[form]()
    )
    assert prove(folder).notes == ()


def test_files_elsewhere_and_included_ones_are_part_of_the_scenarios(tmp_path: Path, network: Path) -> None:
    folder = write(tmp_path / "bases", network, Habit('<include href="parts/flows.rou.xml"/>' + convoy(), WITH_MORE))
    road, parts = folder / "road", folder / "road" / "parts"
    parts.mkdir()
    (parts / "flows.rou.xml").write_text(f'<routes><include href="../../../all.rou.xml"/>{FLOWS}</routes>')
    car = '<vehicle id="y" type="car" route="through" depart="3" departLane="1" departPos="1400"/>'
    (tmp_path / "all.rou.xml").write_text(f"<routes>{car}</routes>")
    (road / "more.add.xml").write_text('<additional><rerouter id="r" edges="west" file="r.xml"/></additional>')
    (road / "r.xml").write_text(
        '<rerouter><interval begin="0" end="1"><destProbReroute id="east"/></interval></rerouter>'
    )
    (road / "network.net.xml").rename(tmp_path / "shared.net.xml")
    config = road / "scenario.sumocfg"
    config.write_text(config.read_text().replace('"network.net.xml"', '"../../shared.net.xml"'))
    base = prove(folder)
    assert "What other files include is written into them: r.xml, flows.rou.xml, all.rou.xml" in " ".join(base.notes)
    assert "copied into each scenario, into outside: shared.net.xml." in " ".join(base.notes)
    assert set(base.traffic.headways_s) == {"cars", "trucks", "y"}
    names = {"outside/shared.net.xml", "outside/all.rou.xml", "parts/flows.rou.xml", "r.xml", "more.add.xml"}
    assert base.hash_files().keys() == names | {"routes.rou.xml", "scenario.sumocfg"}
    (draw,) = draw_variations(1, base.traffic, GenConfig().ranges_of(base), np.random.default_rng(1))
    write_scenario(base, draw, tmp_path / "drawn")
    drawn = open_scenario(tmp_path / "drawn" / "scenario.sumocfg")
    assert drawn.network_path.relative_to(tmp_path / "drawn") == Path("outside/shared.net.xml")
    assert "destProbReroute" in (tmp_path / "drawn" / "more.add.xml").read_text()
    assert "Error" not in run_sumo(drawn.run_path, ("--end", "15"))


def test_files_elsewhere_of_one_name_are_refused(tmp_path: Path, network: Path) -> None:
    folder = write(
        tmp_path / "bases", network, Habit(config=CONFIG.replace('"routes.', '"../a/t.rou.xml,../b/t.rou.xml,routes.'))
    )
    for name in ("a", "b"):
        (folder / name).mkdir()
        (folder / name / "t.rou.xml").write_text("<routes/>")
    with pytest.raises(ScenarioError, match=r"would be \['outside/t.rou.xml'\] in a scenario. Rename"):
        prove(folder)


LIGHT = """<additional><inductionLoop id="asked" lane="west_0" pos="1400" period="60" file="o.xml"/>
<inductionLoop id="other" lane="west_1" pos="1400" period="60" file="o.xml"/>
<tlLogic id="b" type="actuated" programID="own" offset="0"><param key="west_0" value="asked"/>
<phase duration="30" minDur="5" maxDur="40" state="GG"/><phase duration="5" minDur="3" maxDur="9" state="GG"/></tlLogic>
</additional>"""


def test_a_detector_that_a_light_asks_stays_and_writes_nothing(tmp_path: Path, network: Path) -> None:
    folder = write(tmp_path / "bases", network, Habit(config=WITH_MORE))
    nodes = (network.parent / "road.nod.xml").read_text().replace("x='1500'", "x='1500' type='traffic_light'")
    (tmp_path / "lit").mkdir()
    (tmp_path / "lit" / "road.nod.xml").write_text(nodes)
    shutil.copy(network.parent / "road.edg.xml", tmp_path / "lit")
    lit = converted(tmp_path, tmp_path / "lit" / "road.net.xml")
    (folder / "road" / "network.net.xml").write_bytes(lit)
    (folder / "road" / "more.add.xml").write_text(LIGHT)
    base = prove(folder)
    assert "file of inductionLoop 'asked'; inductionLoop 'other'" in " ".join(base.notes)
    opened = open_scenario(folder / "road" / "scenario.sumocfg")
    assert "Error" not in run_sumo(opened.run_path, ("--end", "30"))


@pytest.mark.parametrize(
    ("name", "encoding"),
    [("", "utf-8-sig"), ("", "utf-16"), ("UTF8", "utf-8"), ("latin1", "latin-1"), ("windows-1252", "cp1252")],
)
def test_routes_in_any_encoding_are_read(tmp_path: Path, network: Path, name: str, encoding: str) -> None:
    folder = write(tmp_path / "bases", network, Habit(FLOWS.replace('id="cars"', 'id="fluß"') + convoy()))
    path = folder / "road" / "routes.rou.xml"
    head = f'<?xml version="1.0" encoding="{name}"?>' if name else '<?xml version="1.0"?>'
    path.write_text(head + path.read_text(encoding="utf-8"), encoding=encoding)
    base = prove(folder)
    assert base.notes == ()
    assert "fluß" in base.traffic.headways_s


EXAMPLES = Path(sumo.SUMO_HOME) / "tools" / "game"


@pytest.mark.parametrize("name", ["square", "cross", "racing/racing", "rail_demo", "DRT"])
def test_examples_of_sumo_end_in_a_sentence(tmp_path: Path, name: str) -> None:
    config = EXAMPLES / f"{name}.sumocfg"
    parts = [config.parent] if "/" in name else [EXAMPLES / name.partition("_")[0], EXAMPLES / name]
    for part in parts:
        if part.is_dir():
            shutil.copytree(part, tmp_path / "base" / ("" if "/" in name else part.name), dirs_exist_ok=True)
    for other in (tmp_path / "base").rglob("*.sumocfg"):
        other.unlink()
    (tmp_path / "base").mkdir(exist_ok=True)
    shutil.copy(config, tmp_path / "base")
    with pytest.raises(ScenarioError, match=r"Name the file|Write the convoy|Change it|Add it"):
        check_and_print(CheckBaseConfig(tmp_path))
