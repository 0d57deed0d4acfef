"""What is read from a base: its trees, its convoy, its notes; and what is refused, in which words."""

import gzip
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from roadsense.augment.bases.base import Base, read_bases
from roadsense.augment.bases.convoy_naming import ConvoyNaming
from roadsense.augment.draws.variations import VariationRanges, draw_variations
from roadsense.augment.validation.scenario_files import write_scenario
from roadsense.errors import InputError, ScenarioError
from roadsense.scenarios.checks import read_xml
from roadsense.scenarios.route_files import sort_by_departure
from roadsense.scenarios.scenario import open_scenario
from roadsense.utils.files import hash_file
from tests.conftest import CONFIG, FLOWS, TYPES, convoy, write_base

RANGES = VariationRanges(heavy_share=(1.0, 1.0), convoy_size=(3, 3))


def read_base(folder: Path, naming: ConvoyNaming | None = None) -> Base:
    (base,) = read_bases(folder, RANGES, naming)
    return base


def base_of(tmp_path: Path, network: Path, traffic: str, config: str = CONFIG) -> Base:
    write_base(tmp_path / "bases" / "road", network, traffic, config)
    return read_base(tmp_path / "bases")


def write_one(base: Base, folder: Path) -> ET.Element:
    """Writes a draw and returns its routes as they stand in the file."""
    (draw,) = draw_variations(1, base.traffic, RANGES, np.random.default_rng(0))
    write_scenario(base, draw, folder)
    return read_xml(folder / "routes.rou.xml", "routes", keep_comments=True)


def with_ids(text: str, *names: str) -> str:
    """The convoy's cars under other ids."""
    for number, name in enumerate(names, start=1):
        text = text.replace(f'"V{number:03d}"', f'"{name}"')
    return text


def comments_of(root: ET.Element) -> list[str]:
    return [element.text.strip() for element in root.iter(ET.Comment)]


def test_comments_stay_with_what_follows_them(tmp_path: Path, network: Path) -> None:
    path = write_base(tmp_path / "bases" / "road", network).parent / "routes.rou.xml"
    flow, rest = FLOWS.split("/>", 1)
    path.write_text(f"<!-- header --><routes>{TYPES}<!-- the convoy -->{convoy()}<!-- cars -->{flow}/>{rest}</routes>")
    written = write_one(read_base(tmp_path / "bases"), tmp_path / "out")
    assert comments_of(written) == ["header", "cars", "the convoy"]
    following = {
        element.text.strip(): written[place + 1].get("id")
        for place, element in enumerate(written)
        if element.tag is ET.Comment
    }
    assert following == {"header": "ego", "cars": "cars", "the convoy": "V003"}


def test_what_departs_first_comes_first_and_what_never_departs_before_it() -> None:
    root = ET.fromstring(
        '<routes><vehicle id="b" depart="9"/><flow id="a" begin="0:0:5"/><route id="r"/>'
        '<trip id="t" depart="triggered"/></routes>'
    )
    sort_by_departure(root)
    assert [element.get("id") for element in root] == ["r", "t", "a", "b"]


def test_trees_are_fresh_copies_and_the_files_are_read_once(tmp_path: Path, network: Path) -> None:
    base = base_of(tmp_path, network, FLOWS + convoy())
    ((name, changed),) = base.read_routes()
    assert name == Path("routes.rou.xml")
    changed.clear()
    (tmp_path / "bases" / "road" / "routes.rou.xml").unlink()
    ((_, fresh),) = base.read_routes()
    assert [flow.get("id") for flow in fresh.findall("flow")] == ["cars", "trucks"]
    base.read_config().clear()
    assert base.read_config().find(".//net-file") is not None


def test_a_named_convoy_is_renamed_wherever_its_ids_stand(tmp_path: Path, network: Path) -> None:
    extra = (
        '<vehicle id="V002" type="car" route="through" depart="1" departLane="1" departPos="700">'
        '<stop lane="west_1" endPos="900" duration="1" join="mid"/><param key="follows" value="mid"/>'
        '<param key="lanes" value="7"/></vehicle>'
        '<person id="p" depart="0"><ride from="west" to="east" lines="7 mid other"/></person>'
    )
    cars = with_ids(convoy(), "7", "mid", "lead")
    write_base(tmp_path / "bases" / "road", network, FLOWS + cars + extra)
    base = read_base(tmp_path / "bases", ConvoyNaming("7", ("mid", "lead")))
    ((_, root),) = base.read_routes()
    places = {car.get("id"): car.get("departPos") for car in root.findall("vehicle")}
    assert places == {"V001": "300", "V002": "340", "V003": "380", "background_V002": "700"}
    assert root.find(".//stop").get("join") == "V002"
    assert root.find(".//ride").get("lines") == "V001 V002 other"
    assert [param.get("value") for param in root.iter("param")] == ["V002", "7"]
    assert base.scenario.convoy_ids == ("V001", "V002", "V003")
    assert "background_V002" in base.traffic.headways_s


def test_the_ego_may_stand_first_in_the_convoy_too() -> None:
    assert ConvoyNaming("a", ("a", "b")).cars == ConvoyNaming("a", ("b",)).cars == ("a", "b")


@pytest.mark.parametrize(
    ("ego", "ahead", "reason"),
    [("a", (), "1 to 998 cars ahead"), ("", ("b",), "got ''"), ("a", ("b", "b"), "once"), ("a", ("b", "a"), "once")],
)
def test_a_naming_that_is_no_convoy_is_refused(ego: str, ahead: tuple[str, ...], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        ConvoyNaming(ego, ahead)


def test_a_naming_that_does_not_match_lists_the_vehicles_there_are(tmp_path: Path, network: Path) -> None:
    write_base(tmp_path / "road", network, FLOWS + with_ids(convoy(), "red", "green", "blue"))
    with pytest.raises(ScenarioError, match=r"\['pink'\].*are \['blue', 'green', 'red'\]. Name"):
        read_base(tmp_path, ConvoyNaming("red", ("pink",)))
    with pytest.raises(ScenarioError, match=r"\['cars.0'\] are cars of a <flow>.*Write the convoy as <vehicle>"):
        read_base(tmp_path, ConvoyNaming("red", ("cars.0",)))
    with pytest.raises(ScenarioError, match=r"V001 \(ego\).*got \['blue', 'green', 'red'\].*--ego and --convoy"):
        read_base(tmp_path)


NOTES = {
    "no flow": ("", "Density is not varied"),
    "spread flow": ('<flow id="f" type="car" route="through" number="3"/>', "Left as it is: <flow id='f'>"),
    "no rate": ('<flow id="f" type="car" route="through"/>', "<flow id='f'>: expected one of vehsPerHour"),
    "waiting flow": ('<flow id="f" type="car" begin="triggered" period="9"/>', "expected begin as a time"),
    "waiting car": (
        '<vehicle id="v" type="car" depart="triggered" route="through"/>',
        "Left as it is: <vehicle id='v'>",
    ),
    "random place": (
        '<flow id="f" type="car" period="9" departPos="random"/>',
        "departPos='random' of f is SUMO's choice",
    ),
    "people": ('<person id="p" depart="0"><walk edges="west"/></person>', "<person> elements are left as they are, 1"),
    "calibrator": ('<calibrator id="c" lane="west_0" pos="1"/>', "flows of calibrators are left as they are: c"),
}


@pytest.mark.parametrize(("extra", "note"), NOTES.values(), ids=NOTES)
def test_what_is_not_varied_is_said(tmp_path: Path, network: Path, extra: str, note: str) -> None:
    with_flow = '<flow id="g" type="car" route="through" period="9"/>' if extra else ""
    base = base_of(tmp_path, network, convoy() + with_flow + extra)
    assert len(base.notes) == 1
    assert note in base.notes[0]
    assert set(base.traffic.headways_s) <= {"g", "f"}
    write_one(base, tmp_path / "out")


def test_a_plain_base_has_no_notes(tmp_path: Path, network: Path) -> None:
    assert base_of(tmp_path, network, FLOWS + convoy()).notes == ()


def test_a_convoy_that_sumo_places_or_whose_type_it_draws_is_said(tmp_path: Path, network: Path) -> None:
    cars = convoy().replace('departPos="340"', 'departPos="random"').replace('type="ego"', 'type="any"')
    base = base_of(tmp_path, network, '<vTypeDistribution id="any" vTypes="ego convoy_car"/>' + FLOWS + cars)
    assert [note.split(":")[0] for note in base.notes] == [
        "V002 has the departPos 'random', which is no distance",
        "V001 has the vTypeDistribution 'any'",
        "departPos='random' of V002 is SUMO's choice, by its seed, and not varied.",
        "The convoy's distances aren't varied and it gets no further car",
    ]
    assert base.traffic.convoy_types == {"ego", "convoy_car"}
    assert base.traffic.ego_types == {"ego"}


def test_notes_have_the_names_that_the_user_gave(tmp_path: Path, network: Path) -> None:
    cars = with_ids(convoy().replace('departPos="340"', 'departPos="random"'), "7", "mid", "lead")
    write_base(tmp_path / "bases" / "road", network, FLOWS + cars)
    notes = " ".join(read_base(tmp_path / "bases", ConvoyNaming("7", ("mid", "lead"))).notes)
    assert "mid has the departPos 'random'" in notes
    assert "V00" not in notes


def test_options_a_scenario_may_not_set_are_left_out_and_said(tmp_path: Path, network: Path) -> None:
    config = CONFIG.replace("<time>", '<output><fcd-output value="f.xml"/></output><!-- when --><time>')
    base = base_of(tmp_path, network, FLOWS + convoy(), config)
    (note,) = base.notes
    assert note.startswith("Options left out of the configuration: fcd-output. ")
    write_one(base, tmp_path / "out")
    assert "output" not in (tmp_path / "out" / "scenario.sumocfg").read_text()
    assert "<!-- when -->" in (tmp_path / "out" / "scenario.sumocfg").read_text()
    assert open_scenario(tmp_path / "out" / "scenario.sumocfg").convoy_ids == ("V001", "V002", "V003")


def test_vehicles_without_a_type_get_one_that_is_varied(tmp_path: Path, network: Path) -> None:
    base = base_of(tmp_path, network, FLOWS + convoy().replace('type="convoy_car" ', ""))
    assert "SUMO's default vType" in base.notes[0]
    assert "DEFAULT_VEHTYPE" in base.traffic.convoy_types
    written = write_one(base, tmp_path / "out")
    assert written.find("vType[@id='DEFAULT_VEHTYPE']").get("speedFactor").startswith("normc(")
    tags = [element.tag for element in written]
    assert tags.index("vType") < tags.index("vehicle")


def test_types_in_distributions_and_additional_files_are_varied(tmp_path: Path, network: Path) -> None:
    config = CONFIG.replace("<route-files", '<additional-files value="a/t.add.xml"/><route-files')
    path = write_base(tmp_path / "bases" / "road", network, FLOWS + convoy(), config)
    (path.parent / "a").mkdir()
    extra = '<vTypeDistribution id="d"><vType id="van" probability="1"/></vTypeDistribution><vType id="bus"/>'
    (path.parent / "a" / "t.add.xml").write_text(f"<additional>{extra}</additional>")
    base = read_base(tmp_path / "bases")
    assert {"van", "bus"} <= set(base.traffic.types)
    assert [name.as_posix() for name, _ in base.read_routes()] == ["a/t.add.xml", "routes.rou.xml"]
    write_one(base, tmp_path / "out")
    written = read_xml(tmp_path / "out" / "a" / "t.add.xml", "additional")
    assert all(kind.get("speedFactor").startswith("normc(") for kind in written.iter("vType"))


def test_detectors_that_write_are_left_out_and_said_and_other_writers_refused(tmp_path: Path, network: Path) -> None:
    config = CONFIG.replace("<route-files", '<additional-files value="d.add.xml, s.add.xml"/><route-files')
    path = write_base(tmp_path / "bases" / "road", network, FLOWS + convoy(), config)
    loop, sign = '<inductionLoop id="d" lane="west_0" pos="9" file="d.xml"/>', '<poi id="p" x="1" y="1"/>'
    (path.parent / "d.add.xml").write_text(f"<additional>{loop}{sign}</additional>")
    (path.parent / "s.add.xml").write_text("<additional><!-- nothing --></additional>")
    base = read_base(tmp_path / "bases")
    assert len(base.notes) == 1
    assert "inductionLoop 'd'" in base.notes[0]
    write_one(base, tmp_path / "out")
    assert [element.tag for element in read_xml(tmp_path / "out" / "d.add.xml", "additional")] == ["poi"]
    assert (tmp_path / "out" / "s.add.xml").read_bytes() == (path.parent / "s.add.xml").read_bytes()
    assert open_scenario(tmp_path / "out" / "scenario.sumocfg").additional_paths
    (path.parent / "s.add.xml").write_text('<additional><parkingArea id="r" file="elsewhere.xml"/></additional>')
    with pytest.raises(ScenarioError, match="<parkingArea> may not name a file"):
        read_base(tmp_path / "bases")


@pytest.mark.parametrize("root", ["additional", "add", "trips"])
def test_files_may_have_any_root_but_need_one(tmp_path: Path, network: Path, root: str) -> None:
    path = write_base(tmp_path / "bases" / "road", network).parent / "routes.rou.xml"
    path.write_text(path.read_text().replace("routes>", f"{root}>"))
    base = read_base(tmp_path / "bases")
    assert set(base.traffic.headways_s) == {"cars", "trucks"}
    path.write_text('<vehicle id="V001" depart="1"/>')
    with pytest.raises(ScenarioError, match="expected a root around <vehicle>"):
        read_base(tmp_path / "bases")


def test_hashes_are_those_of_the_original_files(tmp_path: Path, network: Path) -> None:
    write_base(tmp_path / "road", network, FLOWS + with_ids(convoy(), "x", "y", "z"))
    hashes = read_base(tmp_path, ConvoyNaming("x", ("y", "z"))).hash_files()
    assert hashes == {path.name: hash_file(path) for path in (tmp_path / "road").iterdir()}


def test_a_scenario_names_the_radio_it_asks_for(tmp_path: Path, network: Path) -> None:
    cars = convoy()
    asking = re.sub(r'(<vehicle id="V001"[^>]*)/>', r'\1><param key="v2v" value="bursty"/></vehicle>', cars)
    assert open_scenario(write_base(tmp_path / "asking", network, FLOWS + asking)).v2v == "bursty"
    assert open_scenario(write_base(tmp_path / "plain", network, FLOWS + cars)).v2v is None
    of_another = asking.replace("V001", "V00X").replace("V002", "V001").replace("V00X", "V002")
    assert open_scenario(write_base(tmp_path / "other", network, FLOWS + of_another)).v2v is None


def test_damaged_and_swollen_gzip_is_refused(tmp_path: Path, network: Path) -> None:
    path = write_base(tmp_path / "road", network).parent / "network.net.xml"
    packed = gzip.compress(path.read_bytes())
    path.write_bytes(packed[:-20])
    with pytest.raises(ScenarioError, match="cannot be read"):
        open_scenario(path.parent / "scenario.sumocfg")
    path.write_bytes(gzip.compress(b'<net version="1.20">' + b" " * (100 * 2**20), compresslevel=1))
    with pytest.raises(ScenarioError, match="unpacks to more bytes"):
        open_scenario(path.parent / "scenario.sumocfg")
    path.write_bytes(packed)
    assert open_scenario(path.parent / "scenario.sumocfg").network_path == path
