"""More habits of bases: paths, pictures, forms of options, folder names, chance, speeds that maxSpeed holds."""

from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.bases.base import Base
from roadsense.augment.config import GenConfig
from roadsense.augment.draws.traffic import LEVELS
from roadsense.augment.draws.variations import VariationRanges, draw_variations
from roadsense.augment.generate import generate_dataset
from roadsense.augment.preview.effects import measure_effects
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.augment.validation.unvaried import check_unvaried, explain_rejection, simulate_unvaried
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.scenario import open_scenario
from tests.augment.conftest import Make
from tests.conftest import CONFIG, FLOWS, TYPES, build_network, convoy, write_base

TEMPLATE = """<sumoConfiguration><configuration><save-template value="" type="FILE"/></configuration>
<input><net-file value="network.net.xml" synonymes="n net" type="FILE" help="road network"/>
<route-files v="routes.rou.xml"/><additional-files value="" synonymes="a additional" type="FILE"/></input>
<processing><lateral-resolution value="-1" type="FLOAT"/><scale value="1" type="FLOAT"/></processing>
<report><xml-validation value="auto" type="STR"/></report></sumoConfiguration>"""


def one_draw(base: Base, folder: Path) -> Path:
    (draw,) = draw_variations(1, base.traffic, GenConfig().ranges_of(base), np.random.default_rng(3))
    write_scenario(base, draw, folder)
    return folder / "scenario.sumocfg"


@pytest.mark.parametrize("name", ["../road/network.net.xml", "FOLDER/network.net.xml", ".//network.net.xml"])
def test_files_are_named_by_where_they_lie(make: Make, tmp_path: Path, name: str) -> None:
    named = name.replace("FOLDER", str(tmp_path / "bases" / "road"))
    path = one_draw(make(FLOWS + convoy(), CONFIG.replace("network.net.xml", named)), tmp_path / "out")
    assert '<net-file value="network.net.xml"' in path.read_text()
    assert open_scenario(path).network_path == tmp_path / "out" / "network.net.xml"


def test_a_link_within_the_folder_is_followed(tmp_path: Path, network: Path) -> None:
    path = write_base(tmp_path / "bases" / "road", network, config=CONFIG.replace("network.net", "link.net"))
    (path.parent / "link.net.xml").symlink_to("network.net.xml")
    (base,) = GenConfig(tmp_path / "bases").read_bases()
    assert open_scenario(one_draw(base, tmp_path / "out")).network_path.is_file()


def test_a_template_of_sumo_is_read_with_all_it_writes_beside_the_values(make: Make) -> None:
    base = make(FLOWS + convoy(), TEMPLATE)
    assert "save-template, xml-validation" in base.notes[0]
    assert not any("scale" in note for note in base.notes)
    assert simulate_unvaried(base)[1].refusals == ()


def test_pictures_for_the_window_are_left_out(make: Make) -> None:
    base = make(FLOWS + convoy(), types=TYPES.replace('id="car"', 'id="car" imgFile="car.png" osgFile="car.obj"'))
    assert "imgFile, osgFile of vType 'car'" in base.notes[0]


def test_chance_that_stops_a_base_is_told_from_its_own_fault(make: Make) -> None:
    # The walkers take SUMO's random numbers, so that traffic stands in the convoy's way under the usual seed.
    people = '<personFlow id="people" begin="0" end="50" period="10"><walk edges="west" arrivalPos="80"/></personFlow>'
    learned, report = simulate_unvaried(make(FLOWS + convoy() + people))
    assert report.refusals == ()
    assert any("passes under SUMO's seed" in note for note in learned.notes)


def test_the_error_says_what_was_changed_before(make: Make) -> None:
    config = CONFIG.replace('end value="120"', 'end value="28920"')
    cars = convoy(depart_s=28800.0).replace('departPos="340"', 'departPos="301"')
    learned, report = simulate_unvaried(make(cars, config))
    error = str(explain_rejection(learned, report))
    assert "leave it no room" in error or "never inserted" in error
    assert "The simulation begins at 28500 s" in error


def test_any_folder_name_gives_scenarios(tmp_path: Path, network: Path) -> None:
    names = {"my road": "my_road", "-lane-1": "lane_1", "straße": "straße", "a,b%c#d": "a_b_c_d", "é (copy)": "é_copy"}
    for name in names:
        write_base(tmp_path / "bases" / name, network, convoy())
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out", n_train=0, n_eval=5))
    assert {record.base for record in dataset.scenarios} == set(names.values())
    assert Dataset.open(dataset.folder).verify() == []


def test_what_holds_the_convoys_speed_is_varied(make: Make, tmp_path: Path) -> None:
    slow = TYPES.replace('id="ego"', 'id="ego" maxSpeed="12"').replace(
        'id="convoy_car"', 'id="convoy_car" maxSpeed="12"'
    )
    base = make(convoy(speed="11"), types=slow)
    assert base.held_types == {"ego", "convoy_car"}
    assert any("maxSpeed of convoy_car, ego is varied" in note for note in base.notes)
    check_unvaried([base])
    ways_m = measure_effects(tmp_path / "bases" / "road", ["speed_mean"], VariationRanges(v2v=()))
    driven_m = ways_m.query("vehicle == 'V001'").groupby("end")["way_m"].max()
    assert driven_m["highest"] > 1.3 * driven_m["lowest"]


def test_every_level_acts_or_is_not_drawn(make: Make, tmp_path: Path) -> None:
    rich = FLOWS + convoy(n_cars=4)
    poor = convoy().replace('departPos="300"', 'departPos="base"')
    for name, traffic, types in (
        ("rich", rich, TYPES),
        ("poor", poor, TYPES.replace("<vType", '<vType carFollowModel="IDM"')),
    ):
        base = make(traffic, types=types)
        ranges = VariationRanges(v2v=())
        drawn = [level for level in LEVELS if base.traffic.supports(level)]
        assert len(drawn) == len(LEVELS) if name == "rich" else len(drawn) < len(LEVELS)
        (draw,) = draw_variations(1, base.traffic, ranges, np.random.default_rng(0))
        assert draw.levels.keys() <= {*drawn, "friction", "convoy_shift_s"}
        effects = measure_effects(tmp_path / "bases" / "road", drawn, ranges)
        for level in drawn:
            own = effects[effects["variation"] == level]
            low, high = (own[own["end"] == end].drop(columns=["end", "setting"]) for end in ("lowest", "highest"))
            assert low.to_csv() != high.to_csv(), level
        (base_file := tmp_path / "bases" / "road").rename(tmp_path / name)
        assert not base_file.exists()


def test_added_traffic_drives_in_both_directions(tmp_path: Path) -> None:
    network = build_network(tmp_path / "net", 2500, 20.0, oncoming=True)
    write_base(tmp_path / "bases" / "road", network, convoy(speed="15"))
    (base,) = GenConfig(tmp_path / "bases", add_traffic=600.0).read_bases()
    routes = {route.get("edges") for _, root in base.read_routes() for route in root.findall("flow/route")}
    assert routes == {"west east", "-east -west"}
    (learned,) = check_unvaried([base])
    assert learned.traffic.supports("density")
