"""What the variations do in real SUMO: its own defaults, friction, mixes of types, longer and shorter convoys."""

import gzip
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.draws.traffic import LEVELS
from roadsense.augment.draws.variations import TypeDraw, Variation, draw_variations
from roadsense.augment.edits.network_files import read_edges, scale_friction, speed_share, write_wet_network
from roadsense.augment.edits.vehicle_defaults import HEAVY_CLASSES, following_defaults
from roadsense.augment.edits.vehicles import FRICTION_PARAMS, heavy_mix_share, read_mix, read_speed_factor, vary_types
from roadsense.augment.validation.gate import run_gate
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.scenarios.records import CONFIG_NAME
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from tests.conftest import FLOWS, convoy, write_base


def base_of(folder: Path, network: Path, traffic: str) -> Base:
    write_base(folder / "bases" / "road", network, traffic)
    return read_bases(folder / "bases", VariationRanges())[0]


def drawn(base: Base, **levels: float) -> Variation:
    one = draw_variations(1, base.traffic, VariationRanges(), np.random.default_rng(0))[0]
    return replace(one, levels=one.levels | {"friction": 1.0} | levels)


def mean_speed(config_path: Path, folder: Path) -> float:
    run_sumo(config_path, ("--summary-output", str(folder / "summary.xml"), "--no-warnings", "true"))
    steps = ET.parse(folder / "summary.xml").getroot()
    return float(np.mean([float(step.get("meanSpeed")) for step in steps][300:]))


READ_DEFAULTS = """
import json, sys, libsumo
from libsumo import vehicletype as t
libsumo.start(["sumo", "-n", sys.argv[1], "-r", sys.argv[2], "--no-warnings", "true"])
print(json.dumps({k: [t.getAccel(k), t.getDecel(k), t.getEmergencyDecel(k), t.getMinGap(k), t.getTau(k)]
                  for k in t.getIDList() if k in sys.argv[3:]}))
"""


def test_defaults_are_those_of_sumo(network: Path, tmp_path: Path) -> None:
    kinds = ["passenger", "delivery", *sorted(HEAVY_CLASSES), "motorcycle", "moped", "bicycle", "tram", "emergency"]
    types = "".join(f'<vType id="{kind}" vClass="{kind}"/>' for kind in kinds)
    (tmp_path / "types.xml").write_text(f"<routes>{types}</routes>")
    command = [sys.executable, "-c", READ_DEFAULTS, str(network), str(tmp_path / "types.xml"), *kinds]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found == {kind: list(astuple(following_defaults(kind))) for kind in kinds}


def test_a_wet_road_is_slower_by_what_sumo_documents(network: Path, tmp_path: Path) -> None:
    lone = '<vehicle id="lone" type="car" route="through" depart="0" departSpeed="0"/>'
    speeds = {}
    for friction in (1.0, 0.7, 0.4):
        folder = tmp_path / str(friction)
        base = base_of(folder, network, lone + FLOWS + convoy())
        write_scenario(base, drawn(base, friction=friction), folder / "wet")
        speeds[friction] = mean_speed(folder / "wet" / CONFIG_NAME, folder)
    for friction in (0.7, 0.4):
        assert speeds[friction] / speeds[1.0] == pytest.approx(speed_share(friction), abs=0.03)


def test_friction_without_the_device_does_nothing(network: Path, tmp_path: Path) -> None:
    wet = tmp_path / "wet.net.xml"
    wet.write_bytes(scale_friction(network.read_bytes(), 0.5))
    for name, road in (("dry", network), ("slippery", wet)):
        write_base(tmp_path / name, road)
    speeds = [mean_speed(tmp_path / name / "scenario.sumocfg", tmp_path) for name in ("dry", "slippery")]
    assert speeds[0] == speeds[1] > 0.0


def test_friction_is_set_on_every_lane_and_multiplies_what_is_there() -> None:
    lanes = (
        b'<lane id="a" speed="5"/><lane friction="0.5" id="b"/><lane id="c" friction=\'0.8\'><param/></lane><laneX/>'
    )
    found = ET.fromstring(b"<net>" + scale_friction(lanes, 0.5) + b"</net>")
    assert [lane.get("friction") for lane in found.iter("lane")] == ["0.5", "0.25", "0.4"]
    assert [lane.get("id") for lane in found.iter("lane")] == ["a", "b", "c"]


def test_a_packed_network_is_read_and_gets_wet_packed(network: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.net.xml.gz"
    packed.write_bytes(gzip.compress(network.read_bytes()))
    assert read_edges(packed, ["west"])["west"].length_m == read_edges(network, ["west"])["west"].length_m > 1400.0
    assert read_edges(network, ["nowhere"]) == {}
    for name in ("first", "second"):
        write_wet_network(packed, tmp_path / name, 0.8)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert gzip.decompress((tmp_path / "first").read_bytes()) == scale_friction(network.read_bytes(), 0.8)


def test_a_convoy_that_departs_fast_departs_slower_on_a_wet_road(network: Path, tmp_path: Path) -> None:
    base = base_of(tmp_path, network, FLOWS + convoy(speed="20"))
    write_scenario(base, drawn(base, friction=0.7), tmp_path / "wet")
    cars = ET.parse(tmp_path / "wet" / "routes.rou.xml").getroot().findall("vehicle")
    assert {float(car.get("departSpeed")) for car in cars} == {round(20 * speed_share(0.7), 2)} == {18.06}


@pytest.mark.parametrize("size", [2, 3, 5, 6])
def test_longer_and_shorter_convoys_drive_in_order_with_the_ego_in_its_place(
    network: Path, tmp_path: Path, size: int
) -> None:
    base = base_of(tmp_path, network, FLOWS + convoy(n_cars=4))
    edits = write_scenario(base, drawn(base, convoy_size=size, convoy_spacing=1.1), tmp_path / "out")
    scenario = open_scenario(tmp_path / "out" / CONFIG_NAME)
    assert len(scenario.convoy_ids) == size
    assert len([edit for edit in edits if edit.attribute == "id"]) == abs(size - 4)
    ego = ET.parse(tmp_path / "out" / "routes.rou.xml").find("vehicle[@id='V001']")
    assert ego.get("departPos") == "300"
    report = run_gate(scenario.config_path)
    assert report.in_order
    assert report.insertion_delay_s < 0.2


def test_there_is_room_for_cars_and_distances_only_up_to_the_end_of_the_edge(network: Path, tmp_path: Path) -> None:
    room = base_of(
        tmp_path, network, FLOWS.replace("1000", "0") + convoy(spacing_m=300.0, n_cars=3)
    ).traffic.most_spacing
    assert max(room) == 4  # at 300, 600, 900 and 1,200 m of an edge of 1,500 m: a fifth car would stand at its end
    for size, most in room.items():
        front_m = 300.0 + (size - 1) * 300.0 * most
        assert 1490.0 < front_m < 1500.0


def test_no_car_is_added_where_other_traffic_departs(network: Path, tmp_path: Path) -> None:
    room = base_of(tmp_path, network, FLOWS + convoy(spacing_m=200.0, n_cars=3)).traffic.most_spacing
    assert max(room) == 3  # a fourth car would stand at 900 m, a truck departs at 1,000 m


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (('departPos="340"', 'departPos="base"'), "departPos of the convoy as a number"),
        (('departPos="340"', 'departPos="200"'), "each ahead of the one before"),
        (('depart="10.00" departLane="0" departPos="340"',
          'depart="12.00" departLane="0" departPos="340"'), "one time"),
        (('route="through" depart="10.00" departLane="0" departPos="340"',
          'route="late" depart="10.00" departLane="0" departPos="340"'), "one edge"),
    ],
)  # fmt: skip
def test_a_convoy_that_stands_otherwise_only_gets_shorter_and_the_reason_is_noted(
    network: Path, tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    traffic = '<route id="late" edges="east"/>' + FLOWS + convoy(n_cars=4).replace(*change)
    base = base_of(tmp_path, network, traffic)
    assert base.traffic.most_spacing == {2: None, 3: None, 4: None}
    assert any(reason in note for note in base.notes)
    assert any("3 to 4 cars, not 3 to 6" in note for note in base.notes)
    one = draw_variations(1, base.traffic, VariationRanges(), np.random.default_rng(0))[0]
    assert set(LEVELS) - set(one.levels) == {"convoy_spacing"}
    write_scenario(base, one, tmp_path / "out")
    places = {car.get("departPos") for car in ET.parse(tmp_path / "out" / "routes.rou.xml").iter("vehicle")}
    assert places <= {"300", "340", "380", "420", "base", "200"}


def test_heavy_flows_grow_and_others_shrink_by_as_much(network: Path, tmp_path: Path) -> None:
    base = base_of(tmp_path, network, FLOWS + convoy())
    for one in draw_variations(20, base.traffic, VariationRanges(), np.random.default_rng(0)):
        factor = one.levels["heavy_share"]
        assert one.flows["trucks"].share == pytest.approx(factor, abs=1e-4)
        assert 600 * one.flows["cars"].share + 200 * one.flows["trucks"].share == pytest.approx(800, abs=0.1)


MIX = """<routes>
    <vTypeDistribution id="all">
        <vType id="car" probability="0.6"/><vType id="bus" vClass="bus" probability="0.2"/><vType id="van"
        vClass="delivery" probability="0.2"/>
    </vTypeDistribution>
    <vTypeDistribution id="named" vTypes="car bus" probabilities="3 1"/>
    <vTypeDistribution id="own" vTypes="bus van"/>
    <vTypeDistribution id="light" vTypes="car van"/>
</routes>"""


def test_a_mix_of_types_shifts_its_probabilities_and_keeps_their_sum(tmp_path: Path) -> None:
    root = ET.fromstring(MIX)
    kinds = {kind.get("id"): kind for kind in root.iter("vType")}
    mixes = {mix.get("id"): mix for mix in root.iter("vTypeDistribution")}
    before = {name: (read_mix(mix, kinds), heavy_mix_share(mix, kinds)) for name, mix in mixes.items()}
    assert before["named"] == ({"car": 3.0, "bus": 1.0}, 0.25)
    assert before["own"] == ({"bus": 0.2, "van": 0.2}, 0.5)
    one = Variation(
        0.5, 0.5, {"friction": 1.0, "heavy_share": 1.4}, 0.2, {}, {k: TypeDraw(0.1, 1.0, 0.1) for k in kinds}, None, 1
    )
    vary_types(root, one)
    for name, (probabilities, share) in before.items():
        assert sum(read_mix(mixes[name], kinds).values()) == pytest.approx(sum(probabilities.values()), abs=1e-5)
        assert heavy_mix_share(mixes[name], kinds) == pytest.approx(share * 1.4, abs=1e-5)


def test_braking_stays_below_that_in_an_emergency_and_headways_above_the_step() -> None:
    root = ET.fromstring(
        '<routes><vType id="a" decel="6.8" emergencyDecel="7" tau="0.3"/><vType id="b" decel="5" emergencyDecel="4"/>'
        "</routes>"
    )
    draw = TypeDraw(0.1, 1.0, 0.1, tau=0.2, accel=1.1, decel=1.2, min_gap=1.1)
    vary_types(root, Variation(0.5, 0.5, {"friction": 0.8}, 0.2, {}, {"a": draw, "b": draw}, None, 1))
    first, second = root.findall("vType")
    assert (float(first.get("decel")), float(first.get("tau"))) == (7.0, 0.1)
    assert float(second.get("decel")) == 5.0  # as it was: stronger than in an emergency already
    assert {param.get("key"): param.get("value") for param in first.findall("param")} == FRICTION_PARAMS


@pytest.mark.parametrize(
    ("text", "mean", "deviation"),
    [("norm(1.2,0.05)", 1.2, 0.05), ("normc(0.9, 0.2, 0.5, 1.5)", 0.9, 0.2), ("1.1", 1.1, 0.1), ("normc(a,b)", 1, 0.1)],
)
def test_a_speed_factor_is_read_in_the_forms_of_sumo(text: str, mean: float, deviation: float) -> None:
    assert read_speed_factor(text, None)[:2] == (mean, deviation)
