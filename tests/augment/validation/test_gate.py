"""The gate lets good scenarios through and says of each bad one what is wrong with it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from roadsense.augment.validation.gate import HORIZON_S, run_gate
from tests.conftest import FLOWS, convoy, write_base

Build = Callable[[str], Path]


@pytest.fixture
def build(tmp_path: Path, network: Path) -> Build:
    return lambda traffic: write_base(tmp_path / "scenario", network, traffic)


def test_a_good_scenario_passes_and_is_measured(build: Build) -> None:
    report = run_gate(build(FLOWS + convoy()))
    assert report.refusals == ()
    assert (report.n_warnings, report.n_collisions, report.n_emergency_braking) == (0, 0, 0)
    assert report.insertion_delay_s == 0.0
    assert report.in_order
    assert report.ego_time_s >= HORIZON_S
    assert 15.0 < report.ego_mean_speed_mps < 26.0
    assert 15.0 < report.mean_speed_mps < 30.0
    assert 30.0 < report.max_spacing_m < 150.0
    assert report.n_inserted == pytest.approx(report.n_asked, abs=1)
    assert report.n_asked == pytest.approx(71 * 800 / 3600 + 3, abs=2)


def test_the_same_scenario_gives_the_same_report(build: Build) -> None:
    path = build(FLOWS + convoy())
    assert run_gate(path) == run_gate(path)


def test_nothing_is_written_into_the_scenario(build: Build) -> None:
    path = build(FLOWS + convoy())
    before = {file: file.read_bytes() for file in path.parent.iterdir()}
    run_gate(path)
    assert {file: file.read_bytes() for file in path.parent.iterdir()} == before


BLIND = """
    <vType id="blind" maxSpeed="60" speedFactor="2" tau="0.01" minGap="0" decel="0.1" emergencyDecel="0.1"
        apparentDecel="9" lcStrategic="-1" lcSpeedGain="0" lcKeepRight="0" lcCooperative="0"/>
    <vehicle id="blind" type="blind" route="through" depart="10" departLane="0" departSpeed="40"/>
"""
WALLS = "".join(
    f'<vehicle id="wall{lane}" type="car" route="through" depart="0" departLane="{lane}" departPos="420">'
    f'<stop lane="west_{lane}" endPos="425" duration="500"/></vehicle>'
    for lane in (0, 1)
)
TWO_SPEEDS = '<vType id="fast" speedFactor="1.6" maxSpeed="40"/><vType id="slow" speedFactor="0.5"/>'
REFUSED = {
    "too close to be inserted": (FLOWS + convoy(spacing_m=12), "the convoy came .* s late"),
    "on top of each other": (FLOWS + convoy(spacing_m=2), "the convoy came .* s late"),
    "backward": (FLOWS + convoy(spacing_m=-80), "aren't in the order of their names"),
    "faster than its driver": (FLOWS + convoy(speed="40"), "SUMO .*[Dd]eparture speed"),
    "unknown route": (
        FLOWS + convoy().replace("through", "nowhere"),
        "SUMO ended with an error: .*route 'nowhere'",
    ),
    "route ends early": (
        '<route id="short" edges="west"/>' + FLOWS + convoy().replace("through", "short"),
        "the ego left the road after .* s, before 60",
    ),
    "collision": (BLIND + convoy(), "collisions"),
    "blocked road": (WALLS + convoy(), "the ego moves at .* m/s on average"),
    "more vehicles than fit": (FLOWS.replace('"600"', '"9000"') + convoy(), "the flows ask for"),
    "torn apart": (
        TWO_SPEEDS + FLOWS + convoy(speed="10").replace('"convoy_car"', '"fast"').replace('"ego"', '"slow"'),
        "the convoy came apart",
    ),
    "out of order in time": (convoy() + FLOWS, "SUMO warns: .*sorted by departure time"),
}


@pytest.mark.parametrize(("traffic", "reason"), REFUSED.values(), ids=REFUSED)
def test_a_bad_scenario_is_refused_with_the_reason(build: Build, traffic: str, reason: str) -> None:
    refusals = "; ".join(run_gate(build(traffic)).refusals)
    assert re.search(reason, refusals), refusals


def test_emergency_braking_of_the_convoy_is_refused(build: Build) -> None:
    report = run_gate(build(WALLS + convoy(speed="22").replace("departSpeed", 'insertionChecks="none" departSpeed')))
    assert report.n_emergency_braking > 0
    assert any("emergency braking of V003" in reason for reason in report.refusals)


def test_a_crash_of_sumo_is_a_refusal_and_no_crash_of_ours(build: Build) -> None:
    path = build(FLOWS + convoy())
    network = path.parent / "network.net.xml"
    network.write_text(network.read_text().replace("<lane ", "<nolane "))
    (reason,) = run_gate(path).refusals
    assert reason.startswith("SUMO ended with an error")
