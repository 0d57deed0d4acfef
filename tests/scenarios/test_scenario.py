"""Names, and what is refused before SUMO sees a scenario."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadsense.errors import ScenarioError
from roadsense.scenarios.records import DENSITY_WORDS, DRIVER_WORDS, ScenarioName
from roadsense.scenarios.scenario import find_scenarios, open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from tests.conftest import CONFIG, FLOWS, convoy, write_base

NAMES = st.builds(
    ScenarioName,
    number=st.integers(0, 10**6),
    base=st.from_regex(r"\w+", fullmatch=True),
    density=st.sampled_from(DENSITY_WORDS),
    driver=st.sampled_from(DRIVER_WORDS),
)


@pytest.fixture
def config_path(tmp_path: Path, network: Path) -> Path:
    return write_base(tmp_path / "scenario", network)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@given(NAMES)
def test_a_name_reads_back_as_it_was_written(name: ScenarioName) -> None:
    assert ScenarioName.parse(str(name)) == name


@given(st.from_regex(r"scenario_\d{1,6}_[a-z_]{1,9}_(dense|sparse)_(cautious|normal)", fullmatch=True))
def test_what_parses_is_written_the_same(text: str) -> None:
    try:
        name = ScenarioName.parse(text)
    except ScenarioError:
        return
    assert str(name) == text


@pytest.mark.parametrize(
    "text", ["", "scenario_1_a_dense_normal", "scenario_0001_a_dense_normal", "scenario_001_a_dense"]
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(ScenarioError, match="Expected a name like"):
        ScenarioName.parse(text)


def test_a_good_scenario_opens(config_path: Path) -> None:
    scenario = open_scenario(config_path)
    assert scenario.convoy_ids == ("V001", "V002", "V003")
    assert (scenario.ego_id, scenario.convoy_depart_s) == ("V001", 10.0)
    assert scenario.network_path == config_path.parent / "network.net.xml"
    assert scenario.route_paths == (config_path.parent / "routes.rou.xml",)
    assert scenario.additional_paths == ()


def test_a_relative_path_means_the_folder_one_is_in(
    tmp_path: Path, network: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        write_base(tmp_path / name, network)
        monkeypatch.chdir(tmp_path / name)
        assert open_scenario("scenario.sumocfg").name == name


def test_a_scenario_that_was_changed_is_read_again(config_path: Path) -> None:
    assert open_scenario(config_path) is open_scenario(config_path)
    replace(config_path.parent / "routes.rou.xml", 'depart="10.00"', 'depart="11.00"')
    assert open_scenario(config_path).convoy_depart_s == 11.0


REFUSED_CONFIGS = {
    "doctype": ("<configuration>", "<!DOCTYPE a [<!ENTITY b 'c'>]><configuration>", "document type or entities"),
    "broken": ("</configuration>", "", "not well-formed"),
    "root": ("configuration>", "config>", "expected the root <configuration>"),
    "outside": ("network.net.xml", "../network.net.xml", "outside its folder"),
    "absolute": ("network.net.xml", "/etc/hostname", "outside its folder"),
    "missing": ("routes.rou.xml", "other.rou.xml", "which is not there"),
    "no routes": ('<route-files value="routes.rou.xml"/>', "", "expected an <route-files"),
    "as text, too": (
        '<net-file value="network.net.xml"/>',
        '<net-file value="network.net.xml">other.net.xml</net-file>',
        "expected <net-file value",
    ),
    "server": ("<time>", '<time><remote-port value="8813"/>', "may not set <remote-port>"),
    "state": ("<time>", '<time><load-state value="s.xml"/>', "may not set <load-state>"),
    "twice": ("<time>", '<time><net-file value="b.net.xml"/>', r"more than once"),
}


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED_CONFIGS.values(), ids=REFUSED_CONFIGS)
def test_an_unsafe_config_is_refused(config_path: Path, old: str, new: str, reason: str) -> None:
    replace(config_path, old, new)
    with pytest.raises(ScenarioError, match=reason) as caught:
        open_scenario(config_path)
    assert str(config_path) in str(caught.value)


REFUSED_ROUTES = {
    "no ego": ('id="V001"', 'id="W001"', r"expected vehicles V001 \(ego\)"),
    "depart": ('depart="10.00"', 'depart="triggered"', "depart time of V001"),
    "include": ("<routes>", '<routes><include href="/etc/hosts"/>', "<include> may not name a file"),
    "billion laughs": ("<routes>", '<!DOCTYPE r [<!ENTITY a "b">]><routes>', "document type or entities"),
}


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED_ROUTES.values(), ids=REFUSED_ROUTES)
def test_unsafe_routes_are_refused(config_path: Path, old: str, new: str, reason: str) -> None:
    replace(config_path.parent / "routes.rou.xml", old, new)
    with pytest.raises(ScenarioError, match=reason) as caught:
        open_scenario(config_path)
    assert "routes.rou.xml" in str(caught.value)


@pytest.mark.parametrize(
    ("usual", "other"), [("net-file", "net"), ("net-file", "n"), ("route-files", "routes"), ("begin", "b")]
)
def test_options_may_have_their_other_names(config_path: Path, usual: str, other: str) -> None:
    replace(config_path, f"<{usual} ", f"<{other} ")
    assert open_scenario(config_path).convoy_ids == ("V001", "V002", "V003")
    run_sumo(open_scenario(config_path).run_path, ("--end", "1"))


@pytest.mark.parametrize("name", ["50% done", "a,b", "a#1", "a;b", "a b", "größe"])
def test_a_folder_may_have_any_name(tmp_path: Path, network: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    scenario = open_scenario(write_base(tmp_path / name / "road", network))
    assert "rror" not in run_sumo(scenario.run_path, ("--end", "1"))


def test_files_may_be_named_as_sumo_writes_them(config_path: Path) -> None:
    (config_path.parent / "routes.rou.xml").rename(config_path.parent / "my routes.rou.xml")
    replace(config_path, "routes.rou.xml", "my%20routes.rou.xml")
    assert open_scenario(config_path).route_paths == (config_path.parent / "my routes.rou.xml",)
    run_sumo(config_path, ("--end", "1"))
    replace(config_path, "my%20routes", "..\\routes")
    with pytest.raises(ScenarioError, match="write / between folders"):
        open_scenario(config_path)


@pytest.mark.parametrize("stray", [".ipynb_checkpoints/a.sumocfg", "__MACOSX/road/a.sumocfg", "road/._a.sumocfg"])
def test_what_other_programs_leave_is_no_scenario(tmp_path: Path, network: Path, stray: str) -> None:
    path = write_base(tmp_path / "road", network)
    (tmp_path / stray).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / stray).write_bytes(b"")
    assert find_scenarios(tmp_path) == [path]
    path.rename(path.with_name("old.sumo.cfg"))
    assert find_scenarios(tmp_path) == [path.with_name("old.sumo.cfg")]


def test_an_ego_alone_is_no_convoy(tmp_path: Path, network: Path) -> None:
    with pytest.raises(ScenarioError, match="expected vehicles V001"):
        open_scenario(write_base(tmp_path / "alone", network, FLOWS + convoy(n_cars=1)))


REFUSED_NETWORKS = {
    "no version": ('<net version="1.20"', "<net", "SUMO crashes on a network without a version"),
    "not xml": ("<?xml", "net", "not well-formed"),
    "include": ("</net>", '<include href="/etc/hosts"/></net>', "<include> may not name a file"),
}


@pytest.mark.parametrize(("old", "new", "reason"), REFUSED_NETWORKS.values(), ids=REFUSED_NETWORKS)
def test_an_unsafe_network_is_refused(config_path: Path, old: str, new: str, reason: str) -> None:
    replace(config_path.parent / "network.net.xml", old, new)
    with pytest.raises(ScenarioError, match=reason):
        open_scenario(config_path)


def test_a_link_out_of_the_folder_is_refused(config_path: Path, network: Path) -> None:
    (config_path.parent / "network.net.xml").unlink()
    (config_path.parent / "network.net.xml").symlink_to(network)
    with pytest.raises(ScenarioError, match="outside its folder"):
        open_scenario(config_path)


def test_additional_files_are_named_and_may_write_nothing(tmp_path: Path, network: Path) -> None:
    config = CONFIG.replace("<route-files", '<additional-files value="extra.add.xml"/><route-files')
    path = write_base(tmp_path / "scenario", network, config=config)
    extra = path.parent / "extra.add.xml"
    extra.write_text('<additional><inductionLoop id="d" lane="west_0" pos="9" file="/tmp/out.xml"/></additional>')
    assert "inductionLoop 'd'" in open_scenario(path).left_out[0]
    extra.write_text("<additional/>")
    assert open_scenario(path).additional_paths == (extra,)


def test_a_file_that_is_too_large_is_not_read(config_path: Path) -> None:
    os.truncate(config_path.parent / "routes.rou.xml", 100 * 2**20 + 1)
    with pytest.raises(ScenarioError, match="at most 104857600 are opened"):
        open_scenario(config_path)


def test_scenarios_are_found_at_any_depth(tiny_bases: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bases, tmp_path / "deep" / "er")
    assert [path.parent.name for path in find_scenarios(tmp_path)] == ["fast_road", "slow_road"]


def test_a_folder_without_scenarios_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"at least one \.sumocfg"):
        find_scenarios(tmp_path)
    with pytest.raises(ScenarioError, match="is not there"):
        find_scenarios(tmp_path / "nowhere")
