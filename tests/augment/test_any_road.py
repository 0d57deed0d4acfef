"""Bases as people have them: each kind of habit that hid a base's traffic, or made its own fault look like a draw's."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.bases.base import Base
from roadsense.augment.check_base import CheckBaseConfig, check_and_print
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.variations import draw_variations
from roadsense.augment.generate import generate_dataset
from roadsense.augment.validation.gate import run_gate
from roadsense.augment.validation.scenario_files import write_scenario, write_unvaried
from roadsense.augment.validation.unvaried import check_unvaried, simulate_unvaried
from roadsense.errors import GateError, InputError, ScenarioError
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.sumo_program import run_sumo
from roadsense.utils.safe_xml import read_xml
from tests.augment.conftest import Make
from tests.conftest import CONFIG, FLOWS, TYPES, convoy, write_base


def draws(base: Base, n: int = 3) -> list:
    return draw_variations(n, base.traffic, GenConfig().ranges_of(base), np.random.default_rng(0))


def test_flows_in_intervals_are_varied_and_counted(make: Make, tmp_path: Path) -> None:
    base = make(
        f'<interval begin="5" end="95">{FLOWS.replace(chr(39), "")}</interval>'.replace('begin="0" end="100" ', "")
        + convoy()
    )
    assert set(base.traffic.headways_s) == {"cars", "trucks"}
    _, report = simulate_unvaried(base)
    assert report.refusals == ()
    root = read_xml(write_unvaried(base, tmp_path / "out").parent / "routes.rou.xml", "routes")
    assert [(flow.get("begin"), flow.get("end")) for flow in root.findall("flow")] == [("5", "95")] * 2


def test_the_scale_of_traffic_is_written_into_its_rates(make: Make) -> None:
    base = make(FLOWS + convoy(), CONFIG.replace("<processing>", '<processing><scale value="1.5"/>'))
    assert base.traffic.headways_s["cars"] == pytest.approx(3600 / 900)
    assert simulate_unvaried(base)[1].refusals == ()


def test_a_convoy_at_the_begin_is_shifted_later_alone(make: Make) -> None:
    base = make(FLOWS + convoy(depart_s=7.0), CONFIG.replace('begin value="0"', 'begin value="7"'))
    assert GenConfig().ranges_of(base).convoy_shift_s == (0.0, 3.0)
    assert any("convoy_shift_s is 0 to 3 here" in note for note in base.notes)
    assert simulate_unvaried(base)[1].refusals == ()


def test_hours_before_the_convoy_are_left_out(make: Make) -> None:
    flows = FLOWS.replace('end="100"', 'end="28900"').replace('"600"', '"60"').replace('"200"', '"20"')
    base = make(flows + convoy(depart_s=28800.0), CONFIG.replace('end value="120"', 'end value="28920"'))
    assert any("The simulation begins at 28500 s" in note for note in base.notes)
    assert simulate_unvaried(base)[1].refusals == ()


def test_cars_of_others_that_are_tracked_are_not_the_convoys(make: Make) -> None:
    trucks = TYPES.replace('maxSpeed="25"/>', 'maxSpeed="25"><param key="has.fcd.device" value="true"/></vType>')
    assert simulate_unvaried(make(FLOWS + convoy(), types=trucks))[1].refusals == ()


def test_a_speed_factor_of_single_cars_gives_way_to_the_drawn_one(make: Make, tmp_path: Path) -> None:
    base = make(FLOWS + convoy().replace("departSpeed", 'speedFactor="1" departSpeed'))
    assert any("speedFactor of" in note for note in base.notes)
    write_scenario(base, draws(base)[0], tmp_path / "out")
    assert 'speedFactor="1"' not in (tmp_path / "out" / "routes.rou.xml").read_text()


@pytest.mark.parametrize("model", ["IDM", "CACC"])
def test_sigma_is_not_varied_where_the_model_has_none(make: Make, model: str) -> None:
    base = make(FLOWS + convoy(), types=TYPES.replace('id="car"', f'id="car" carFollowModel="{model}"'))
    assert any("sigma of car is not varied" in note for note in base.notes)
    (draw, *_) = draws(base)
    assert draw.types["car"].sigma is None
    assert draw.types["truck"].sigma is not None


def test_types_of_other_than_road_vehicles_are_left_alone(make: Make, tmp_path: Path) -> None:
    walker = '<vType id="walker" vClass="pedestrian"/><vType id="train" vClass="rail"/>'
    base = make(FLOWS + convoy(), types=TYPES + walker)
    assert set(base.traffic.types) == {"ego", "convoy_car", "car", "truck"}
    write_scenario(base, draws(base)[0], tmp_path / "out")
    kinds = {one.get("id"): one.attrib for one in read_xml(tmp_path / "out" / "routes.rou.xml", "routes").iter("vType")}
    assert kinds["walker"] == {"id": "walker", "vClass": "pedestrian"}


def test_a_depart_speed_at_the_limit_is_slowed_with_the_drivers(make: Make, tmp_path: Path) -> None:
    base = make(FLOWS + convoy(speed="25"))
    for number, draw in enumerate(draws(base, 6)):
        write_scenario(base, draw, tmp_path / str(number))
        assert "speed factor" not in run_sumo(tmp_path / str(number) / "scenario.sumocfg", ("--end", "15"))


def test_a_base_without_flows_has_no_density(make: Make) -> None:
    base = make(convoy())
    (draw, *_) = draws(base)
    assert "density" not in draw.levels
    assert draw.density_level is None
    assert draw.density_word == "fixed"


def test_a_dense_convoy_departs_as_fast_as_sumo_lets_it(make: Make) -> None:
    base = make(convoy(spacing_m=14.0, speed="15"))
    assert any("departSpeed of the convoy is" in note for note in base.notes)
    assert simulate_unvaried(base)[1].insertion_delay_s == 0.0


LOOSE = TYPES.replace(' lcSpeedGain="0"', "")
SLOW_LEADER = '<vType id="slow" maxSpeed="12"/>'


def overtaking_convoy() -> str:
    return SLOW_LEADER + convoy(speed="10").replace('id="V003" type="convoy_car"', 'id="V003" type="slow"')


def test_the_convoy_is_held_in_its_lane_unless_it_is_let_loose(make: Make) -> None:
    base = make(overtaking_convoy(), types=LOOSE)
    assert any("held in its lane" in note for note in base.notes)
    assert simulate_unvaried(base)[1].refusals == ()


def test_a_convoy_that_overtakes_is_rejected(make: Make) -> None:
    base = make(overtaking_convoy(), types=LOOSE, hold_lane=False)
    assert "overtook" in " ".join(simulate_unvaried(base)[1].refusals)


def test_a_type_shared_with_traffic_is_held_in_a_copy(make: Make) -> None:
    base = make(FLOWS + convoy().replace('type="convoy_car"', 'type="car"'), types=LOOSE)
    kinds = {kind.get("id"): kind.get("lcSpeedGain") for _, root in base.read_routes() for kind in root.iter("vType")}
    assert (kinds["car"], kinds["car_convoy"]) == (None, "0")


def test_the_unvaried_base_is_tried_first_and_its_own_reason_is_the_error(make: Make, tmp_path: Path) -> None:
    base = make(FLOWS + convoy(speed="20").replace('departPos="300"', 'departPos="500"'))
    with pytest.raises(ScenarioError, match=r"rejected before anything is varied: .*order of their names"):
        check_unvaried([base])
    with pytest.raises(ScenarioError, match="rejected before anything is varied"):
        generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out", n_train=2, n_eval=1))


def test_warnings_of_the_unvaried_base_are_blamed_on_no_draw(make: Make, tmp_path: Path) -> None:
    battery = '><param key="has.battery.device" value="true"/><param key="maximumBatteryCapacity" value="4e4"/></vType>'
    base = make(FLOWS + convoy(), types=TYPES.replace('maxSpeed="25"/>', f'maxSpeed="25"{battery}'))
    learned, report = simulate_unvaried(base)
    assert report.refusals == ()
    assert learned.warnings
    assert any("SUMO warns of it" in note for note in learned.notes)


def test_all_problems_of_all_bases_are_listed_at_once(tmp_path: Path, network: Path) -> None:
    for name in ("one", "two"):
        path = write_base(tmp_path / name, network).parent / "routes.rou.xml"
        path.write_text(path.read_text().replace("</routes>", '<include href="a"/>\n<include href="b"/></routes>'))
    with pytest.raises(ScenarioError) as caught:
        GenConfig(tmp_path).read_bases()
    assert str(caught.value).count("<include>") == 4


def test_a_base_that_fails_leaves_the_scenarios_of_the_others(tiny_bases: Path, tmp_path: Path) -> None:
    ranges = tmp_path / "ranges.toml"
    ranges.write_text("[slow_road]\nconvoy_spacing = [0.2, 0.2]\nv2v = []\n")
    config = GenConfig(tiny_bases, tmp_path / "out", n_train=3, n_eval=2, max_refusals_per_base=1, ranges_file=ranges)
    with pytest.raises(GateError, match=r"holds 3 of 5 scenarios.*slow_road: 2 draws rejected"):
        generate_dataset(config)
    dataset = Dataset.open(tmp_path / "out")
    assert {record.base for record in dataset.scenarios} == {"fast_road"}
    assert dataset.verify() == []
    assert "rejected" in dataset.notes["slow_road"][-1]


def test_ranges_of_a_base_that_is_not_there_are_refused(tiny_bases: Path, tmp_path: Path) -> None:
    (tmp_path / "ranges.toml").write_text("[fast]\ntau = [1.0, 1.1]\n")
    with pytest.raises(InputError, match=r"got \['fast'\]"):
        GenConfig(tiny_bases, ranges_file=tmp_path / "ranges.toml").read_bases()


def test_a_set_to_evaluate_on_needs_no_train_scenario(tiny_bases: Path, tmp_path: Path) -> None:
    dataset = generate_dataset(GenConfig(tiny_bases, tmp_path / "out", n_train=0, n_eval=2))
    assert [record.split for record in dataset.scenarios] == ["eval", "eval"]


def test_traffic_is_added_on_request_clear_of_the_convoy(make: Make) -> None:
    base = make(convoy(), add_traffic=900.0)
    assert sum(3600 / headway_s for headway_s in base.traffic.headways_s.values()) == pytest.approx(900.0)
    _, report = simulate_unvaried(base)
    assert report.refusals == ()
    assert report.n_inserted > 10


def test_a_road_that_ends_early_asks_for_less_time_on_it(make: Make) -> None:
    cars = convoy().replace('departPos="3', 'departPos="9').replace("through", "short")
    learned, report = simulate_unvaried(make(cars, types=TYPES + '<route id="short" edges="west"/>'))
    assert report.refusals == ()
    assert 15.0 <= learned.horizon_s < 60.0


def test_check_base_says_all_of_it(tiny_bases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_and_print(CheckBaseConfig(tiny_bases))
    text = capsys.readouterr().out
    for words in (
        "convoy: V001, V002, V003",
        "2 flows",
        "1 flow,",
        "0 single vehicles",
        "varied: density",
        "the convoy is one",
        "a driver alone",
    ):
        assert words in text


def test_umlauts_are_read_in_the_c_locale(tmp_path: Path, network: Path) -> None:
    path = write_base(tmp_path / "straße", network)
    (path.parent / "network.net.xml").rename(path.parent / "straße.net.xml")
    path.write_text(path.read_text().replace("network.net.xml", "straße.net.xml"))
    code = (
        "import sys; from roadsense.envs.convoy_env import ConvoyEnv; from pathlib import Path;"
        "ConvoyEnv([Path(sys.argv[1])]).reset(seed=0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False, env={"LC_ALL": "C"}
    )
    assert done.returncode == 0, done.stderr
    assert run_gate(path).refusals == ()
