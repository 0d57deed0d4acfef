"""Base scenarios -> dataset: the same from the same seed, held apart, written as drawn, and all or nothing."""

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import VariationRanges
from roadsense.augment.edits.network_files import write_wet_network
from roadsense.augment.generate import generate_dataset
from roadsense.augment.rebuild import rebuild_differences
from roadsense.cli import main
from roadsense.errors import DatasetError, GateError, InputError, RoadSenseError, ScenarioError
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.records import ScenarioName, ScenarioRecord
from roadsense.scenarios.scenario import open_scenario
from roadsense.scenarios.sumo_program import run_sumo
from tests.conftest import CONFIG, FLOWS, convoy, write_base


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def routes_of(dataset: Dataset, record: ScenarioRecord) -> ET.Element:
    return ET.parse(dataset.folder / record.split / record.name / "routes.rou.xml").getroot()


def test_same_seed_gives_the_same_bytes_with_any_number_of_workers(
    small_config: GenConfig, small_dataset: Dataset, tmp_path: Path
) -> None:
    again = generate_dataset(replace(small_config, output_dir=tmp_path / "again", workers=1))
    assert files_of(again.folder) == files_of(small_dataset.folder)
    assert again.digest == small_dataset.digest


def test_another_seed_gives_other_scenarios(small_config: GenConfig, small_dataset: Dataset, tmp_path: Path) -> None:
    other = generate_dataset(replace(small_config, output_dir=tmp_path / "other", seed=1))
    assert other.digest != small_dataset.digest
    assert not {record.variation["sumo_seed"] for record in other.scenarios} & {
        record.variation["sumo_seed"] for record in small_dataset.scenarios
    }


def test_names_numbers_and_splits_are_dealt_evenly(small_dataset: Dataset) -> None:
    names = [ScenarioName.parse(record.name) for record in small_dataset.scenarios]
    assert [name.number for name in names] == [1, 2, 3, 4, 5, 6]
    assert [record.split for record in small_dataset.scenarios] == ["train"] * 4 + ["eval"] * 2
    dealt = Counter((record.split, record.base) for record in small_dataset.scenarios)
    assert dealt == {
        (split, base): n for split, n in (("train", 2), ("eval", 1)) for base in ("fast_road", "slow_road")
    }


def test_every_scenario_stands_alone_and_runs_under_plain_sumo(small_dataset: Dataset, tmp_path: Path) -> None:
    for split in ("train", "eval"):
        for path in small_dataset.scenario_paths(split):
            assert {file.name for file in path.parent.iterdir()} == {
                "scenario.sumocfg", "network.net.xml", "routes.rou.xml",
            }  # fmt: skip
            assert len(open_scenario(path).convoy_ids) >= 3
            assert run_sumo(path, ("--no-step-log", "true", "--end", "15")) == ""


def flow_rates(routes: ET.Element) -> dict[str, float]:
    return {flow.get("id"): float(flow.get("vehsPerHour")) for flow in routes.iter("flow")}


def test_the_files_hold_exactly_the_drawn_values(small_dataset: Dataset, tiny_bases: Path) -> None:
    for record in small_dataset.scenarios:
        base = ET.parse(tiny_bases / record.base / "routes.rou.xml").getroot()
        routes, drawn = routes_of(small_dataset, record), record.variation
        old = flow_rates(base)
        for flow in routes.iter("flow"):
            draw, name = drawn["flows"][flow.get("id")], flow.get("id")
            assert flow_rates(routes)[name] == round(old[name] * draw["density"] * draw["share"], 4)
            assert float(flow.get("begin")) == draw["shift_s"]
            assert float(flow.get("end")) == pytest.approx(100 + draw["shift_s"])
        for kind in routes.iter("vType"):
            draw = drawn["types"][kind.get("id")]
            mean, dev, low, high = map(float, re.findall(r"[\d.]+", kind.get("speedFactor")))
            assert (mean, dev) == (draw["speed_mean"], draw["speed_dev"])
            assert (low, high) == (pytest.approx(mean - 0.2), pytest.approx(mean + 0.2))
            assert kind.get("speedDev") is None
            assert float(kind.get("sigma")) == (0.0 if kind.get("id") == "ego" else draw["sigma"])
        config = ET.parse(small_dataset.folder / record.config)
        assert config.find(".//seed").get("value") == str(drawn["sumo_seed"])


def test_car_following_is_that_of_the_type_or_of_sumo_times_the_drawn_factor(small_dataset: Dataset) -> None:
    own = {"truck": (1.0, 1.3, 4.0, 2.5), "car": (1.0, 2.6, 4.5, 2.5), "convoy_car": (1.0, 2.6, 4.5, 2.5)}
    for record in small_dataset.scenarios:
        for kind in routes_of(small_dataset, record).iter("vType"):
            found = [kind.get(name) for name in ("tau", "accel", "decel", "minGap")]
            if kind.get("id") == "ego":
                assert found == [None] * 4
                continue
            draw = record.variation["types"][kind.get("id")]
            factors = [draw[name] for name in ("tau", "accel", "decel", "min_gap")]
            asked = [value * factor for value, factor in zip(own[kind.get("id")], factors, strict=True)]
            assert list(map(float, found)) == pytest.approx(asked, abs=1e-4)


def test_the_convoy_is_as_long_as_far_apart_as_late_and_on_the_radio_as_drawn(
    small_dataset: Dataset, tiny_bases: Path
) -> None:
    for record in small_dataset.scenarios:
        levels = record.variation["levels"]
        base = ET.parse(tiny_bases / record.base / "routes.rou.xml").getroot()
        first, second = (float(base.find(f"vehicle[@id='{name}']").get("departPos")) for name in ("V001", "V002"))
        scenario = open_scenario(small_dataset.folder / record.config)
        assert scenario.convoy_ids == tuple(f"V{i + 1:03d}" for i in range(levels["convoy_size"]))
        cars = {car.get("id"): car for car in routes_of(small_dataset, record).iter("vehicle")}
        assert set(cars) == set(scenario.convoy_ids)
        for i, name in enumerate(scenario.convoy_ids):
            place = first + i * (second - first) * levels["convoy_spacing"]
            assert float(cars[name].get("departPos")) == pytest.approx(place, abs=0.011)
            assert float(cars[name].get("depart")) == round(10.0 + levels["convoy_shift_s"], 2)
        asked = {name: {p.get("key"): p.get("value") for p in car.iter("param")} for name, car in cars.items()}
        of_ego = asked.pop("V001")
        assert (of_ego["v2v"], of_ego["sensors"]) == (record.variation["v2v"], record.variation["sensors"])
        assert "penetration" in of_ego["surroundings"]
        assert not any(asked.values())


def test_only_a_wet_road_has_friction_and_cars_that_heed_it(small_dataset: Dataset, tiny_bases: Path) -> None:
    for record in small_dataset.scenarios:
        friction = record.variation["levels"]["friction"]
        network = (small_dataset.folder / record.config).parent / "network.net.xml"
        if friction == 1.0:
            assert network.read_bytes() == (tiny_bases / record.base / "network.net.xml").read_bytes()
        else:
            assert {float(lane.get("friction")) for lane in ET.parse(network).iter("lane")} == {friction}
        for kind in routes_of(small_dataset, record).iter("vType"):
            assert (kind.find("param[@key='has.friction.device']") is not None) == (friction < 1.0)
    assert {record.variation["levels"]["friction"] < 1.0 for record in small_dataset.scenarios} == {True, False}


Values = dict[tuple[str, str, str], str]


def values_of(root: ET.Element) -> Values:
    """Every attribute by element, id and name; a param by its owner's id and its key."""
    found = {(e.tag, e.get("id"), name): value for e in root for name, value in e.attrib.items()}
    params = {("param", e.get("id"), p.get("key")): p.get("value") for e in root for p in e.iter("param")}
    return found | params


def test_edits_are_all_that_differs_from_the_base(small_dataset: Dataset, tiny_bases: Path) -> None:
    for record in small_dataset.scenarios:
        old = values_of(ET.parse(tiny_bases / record.base / "routes.rou.xml").getroot())
        new = values_of(routes_of(small_dataset, record))
        edits = [tuple(edit[key] for key in ("element", "id", "attribute", "original", "new")) for edit in record.edits]
        added = {edit[1] for edit in edits if edit[2] == "id" and edit[3] is None}
        dropped = {edit[1] for edit in edits if edit[2] == "id" and edit[4] is None}
        assert {key[1] for key in new} - {key[1] for key in old} == added
        assert {key[1] for key in old} - {key[1] for key in new} == dropped
        differing = {(*key, old.get(key), new.get(key)) for key in old | new if old.get(key) != new.get(key)}
        elsewhere = ("seed", "lane")
        assert {edit for edit in differing if edit[1] not in added | dropped} == {
            edit for edit in edits if edit[0] not in elsewhere and edit[1] not in added | dropped and edit[3] != edit[4]
        }


def test_eval_draws_keep_their_distance_and_a_distance_too_far_is_given_up(
    small_config: GenConfig, small_dataset: Dataset, tmp_path: Path
) -> None:
    distances = [record.train_distance for record in small_dataset.scenarios]
    assert distances[:4] == [None] * 4
    assert all(distance >= small_config.min_split_distance for distance in distances[4:])
    config = replace(small_config, output_dir=tmp_path / "far", min_split_distance=0.399, max_refusals_per_base=300)
    far = generate_dataset(config)
    assert min(record.train_distance for record in far.scenarios[4:]) >= 0.399


def test_other_ways_to_state_a_rate_and_single_vehicles_are_varied_too(network: Path, tmp_path: Path) -> None:
    traffic = (
        '<vehicle id="lone" type="car" route="through" depart="2" departLane="1" departPos="600"/>'
        '<flow id="a" type="car" route="through" begin="0" end="100" period="8" departLane="1" departPos="0"/>'
        '<flow id="b" type="truck" route="through" begin="0" end="100" number="4" departLane="1" departPos="1000"/>'
    )
    write_base(tmp_path / "bases" / "road", network, traffic + convoy())
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out", n_train=2, n_eval=1))
    for record in dataset.scenarios:
        drawn = record.variation["flows"]
        routes = {element.get("id"): element for element in routes_of(dataset, record)}
        assert float(routes["a"].get("period")) == pytest.approx(
            8 / drawn["a"]["density"] / drawn["a"]["share"], abs=1e-3
        )
        assert int(routes["b"].get("number")) == round(4 * drawn["b"]["density"] * drawn["b"]["share"])
        assert float(routes["lone"].get("depart")) == pytest.approx(2 + drawn["lone"]["shift_s"])


def test_rebuilding_gives_the_same_and_says_what_a_changed_base_changes(
    small_dataset: Dataset, tiny_bases: Path, tmp_path: Path
) -> None:
    assert rebuild_differences(small_dataset, (tiny_bases, Path("scenarios/bends"))) == []
    with pytest.raises(DatasetError, match="slow_road is not there"):
        rebuild_differences(small_dataset, "scenarios/bends")
    routes = shutil.copytree(tiny_bases, tmp_path / "bases") / "slow_road" / "routes.rou.xml"
    routes.write_text(routes.read_text().replace('vehsPerHour="600"', 'vehsPerHour="610"'))
    changed = rebuild_differences(small_dataset, tmp_path / "bases")
    assert any("slow_road" in line and "routes.rou.xml" in line for line in changed)
    assert not any("fast_road" in line for line in changed)


def test_a_rejected_draw_is_recorded_and_drawn_again(network: Path, tmp_path: Path) -> None:
    # Some of these distances are too small for SUMO to insert the convoy at once.
    write_base(tmp_path / "bases" / "hasty", network)
    ranges = VariationRanges(convoy_spacing=(0.3, 1.2), convoy_size=(3, 3))
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out", n_train=4, n_eval=2, ranges=ranges))
    assert len(dataset.scenarios) == 6
    assert any("s late" in reason for row in dataset.refusals for reason in row["reasons"])
    assert all(ScenarioName.parse(row["name"]).base == row["base"] == "hasty" for row in dataset.refusals)
    assert all(record.variation["levels"]["convoy_spacing"] > 0.4 for record in dataset.scenarios)


def test_a_base_rejected_too_often_stops_with_the_reasons_and_leaves_nothing(network: Path, tmp_path: Path) -> None:
    write_base(tmp_path / "bases" / "tight", network)
    ranges = VariationRanges(convoy_spacing=(0.2, 0.21))
    config = GenConfig(
        tmp_path / "bases", tmp_path / "out", n_train=2, n_eval=1, max_refusals_per_base=3, ranges=ranges
    )
    with pytest.raises(GateError, match=r"tight: 4 draws rejected.*Reasons: the convoy came .* s late"):
        generate_dataset(config)
    assert [path.name for path in tmp_path.iterdir()] == ["bases"]


def test_wide_scenarios_come_from_wider_ranges_and_change_nothing_else(
    small_config: GenConfig, small_dataset: Dataset, tmp_path: Path, tiny_bases: Path
) -> None:
    dataset = generate_dataset(replace(small_config, output_dir=tmp_path / "out", n_eval_wide=6))
    assert [r.files for r in dataset.scenarios[:6]] == [r.files for r in small_dataset.scenarios]
    wide = [record for record in dataset.scenarios if record.split == "eval_wide"]
    assert [ScenarioName.parse(record.name).number for record in wide] == list(range(7, 13))
    assert len(dataset.scenario_paths("eval_wide")) == 6
    assert all(record.train_distance >= small_config.min_split_distance for record in wide)
    normal, wide_ranges = small_config.ranges, small_config.ranges.widened(1.5)
    beyond = Counter()
    for name, value in [item for record in wide for item in record.variation["levels"].items()]:
        assert getattr(wide_ranges, name)[0] <= value <= getattr(wide_ranges, name)[1], name
        beyond[name] += not getattr(normal, name)[0] <= value <= getattr(normal, name)[1]
    assert sum(beyond[name] > 0 for name in ("tau", "accel", "decel", "min_gap", "speed_mean", "density")) >= 4
    assert dataset.verify() == []
    assert rebuild_differences(dataset, tiny_bases) == []


def test_a_base_held_out_gives_all_held_out_scenarios_and_no_other(
    small_config: GenConfig, tmp_path: Path, tiny_bases: Path
) -> None:
    config = replace(small_config, output_dir=tmp_path / "out", hold_out_base="slow_road", n_eval_wide=1)
    dataset = generate_dataset(config)
    assert Counter((r.split, r.base) for r in dataset.scenarios) == {
        ("train", "fast_road"): 4, ("eval", "slow_road"): 2, ("eval_wide", "slow_road"): 1,
    }  # fmt: skip
    assert dataset.min_train_distance is None
    assert rebuild_differences(dataset, tiny_bases) == []
    for name in ("medium_road", "fast"):
        with pytest.raises(InputError, match=f"hold_out_base: expected one of .*slow_road.* got '{name}'"):
            generate_dataset(replace(config, output_dir=tmp_path / "other", hold_out_base=name))


def test_bases_on_one_road_are_held_out_together(small_config: GenConfig, tmp_path: Path, tiny_bases: Path) -> None:
    """A wet copy of the slow road, with other traffic, is no road that a policy has not seen."""
    bases = shutil.copytree(tiny_bases, tmp_path / "bases")
    write_base(bases / "wet_road", bases / "slow_road" / "network.net.xml", FLOWS + convoy(30.0, 3, speed="10"))
    write_wet_network(bases / "slow_road" / "network.net.xml", bases / "wet_road" / "network.net.xml", 0.7)
    config = replace(small_config, base_dir=bases, output_dir=tmp_path / "out", hold_out_base="slow_road", n_train=1)
    dataset = generate_dataset(config)
    assert {(r.split, r.base) for r in dataset.scenarios} == {
        ("train", "fast_road"), ("eval", "slow_road"), ("eval", "wet_road"),
    }  # fmt: skip
    shutil.rmtree(bases / "fast_road")
    with pytest.raises(InputError, match="hold_out_base: expected one of several bases, on two roads or more"):
        generate_dataset(replace(config, output_dir=tmp_path / "other"))


def test_a_file_of_ranges_is_kept_with_the_dataset_and_rebuilds_without_it(
    small_config: GenConfig, tmp_path: Path, tiny_bases: Path
) -> None:
    path = tmp_path / "ranges.toml"
    path.write_text("# calm\ndensity = [0.8, 0.9]\nv2v = []\n")
    config = replace(small_config, output_dir=tmp_path / "out", ranges_file=path, n_train=2, n_eval=1)
    dataset = generate_dataset(config)
    assert dataset.ranges_toml == path.read_text()
    assert dataset.settings["ranges"]["density"] == [0.8, 0.9]
    assert {record.variation["v2v"] for record in dataset.scenarios} == {None}
    path.unlink()
    assert rebuild_differences(dataset, tiny_bases) == []


def test_what_a_base_cannot_offer_is_said_once_and_kept(
    small_dataset: Dataset, small_config: GenConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(small_dataset.notes) == {"slow_road"}
    assert small_dataset.notes["slow_road"] == [
        "The share of heavy vehicles isn't varied: there are no flows of trucks or buses beside others."
    ]
    generate_dataset(replace(small_config, output_dir=tmp_path / "out", n_train=1, n_eval=1))
    assert capsys.readouterr().err.count("note: slow_road: The share of heavy vehicles isn't varied") == 1


def test_words_are_dealt_evenly_in_each_split(small_config: GenConfig, tmp_path: Path) -> None:
    dataset = generate_dataset(replace(small_config, output_dir=tmp_path / "out", n_train=13, n_eval=7))
    for split in ("train", "eval"):
        for words in ("density", "driver"):
            found = Counter(getattr(record, words) for record in dataset.scenarios if record.split == split)
            assert max(found.values()) - min(found.values()) <= 1
            assert len(found) == 3


def test_an_existing_folder_is_refused_and_untouched(small_config: GenConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"Expected a new folder for the dataset, but .* holds something"):
        generate_dataset(replace(small_config, output_dir=tmp_path))
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_folder_is_filled(small_config: GenConfig, tmp_path: Path) -> None:
    dataset = generate_dataset(replace(small_config, output_dir=tmp_path, n_train=1, n_eval=1))
    assert dataset.verify() == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("n_train", -1), ("n_eval", -1), ("seed", -1), ("workers", -2), ("n_train", 1.5), ("min_split_distance", 2.0)],
)
def test_settings_that_make_no_dataset_are_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"(?i)(expected {setting} |{setting}: expected ).* got {value}"):
        GenConfig(**{setting: value})


BAD_BASES = {
    "no convoy": (FLOWS, CONFIG, "expected vehicles V001"),
    "foreign type": (FLOWS + convoy().replace("convoy_car", "tank"), CONFIG, r"got \['tank'\]"),
    "elsewhere": (FLOWS, CONFIG.replace("routes.rou.xml", "../routes.rou.xml"), "which is not there"),
}


@pytest.mark.parametrize(("traffic", "config", "reason"), BAD_BASES.values(), ids=BAD_BASES)
def test_a_base_that_cannot_be_varied_is_refused_at_once(
    network: Path, tmp_path: Path, traffic: str, config: str, reason: str
) -> None:
    traffic = traffic if "V001" in traffic or reason.startswith("expected vehicles") else traffic + convoy()
    write_base(tmp_path / "bases" / "road", network, traffic, config)
    with pytest.raises(ScenarioError, match=reason):
        generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_bases_must_be_there_and_have_names_of_their_own(network: Path, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="is not there"):
        generate_dataset(GenConfig(tmp_path / "nowhere", tmp_path / "out"))
    with pytest.raises(InputError, match="got none"):
        GenConfig((), tmp_path / "out")
    write_base(tmp_path / "a" / "road", network)
    write_base(tmp_path / "b" / "road", network)
    with pytest.raises(ScenarioError, match="folders of different names"):
        generate_dataset(GenConfig(tmp_path, tmp_path / "out"))
    write_base(tmp_path / "c" / "my-road", network)
    write_base(tmp_path / "c" / "my road", network)
    with pytest.raises(ScenarioError, match="folders of different names"):
        generate_dataset(GenConfig(tmp_path / "c", tmp_path / "out"))


def test_the_command_makes_a_dataset_and_says_where(tiny_bases: Path, tmp_path: Path) -> None:
    arguments = [
        "--base_dir",
        str(tiny_bases),
        "--output-dir",
        str(tmp_path / "out"),
        "--n_train",
        "2",
        "--n-eval",
        "2",
    ]
    command = [sys.executable, "-m", "roadsense.gen_scenarios", *arguments, "--convoy_shift_s", "-1", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    dataset = Dataset.open(tmp_path / "out")
    assert done.stdout.startswith(f"{tmp_path / 'out'}: 4 scenarios, digest {dataset.digest}")
    assert "4/4" in done.stderr
    assert dataset.settings["ranges"]["convoy_shift_s"] == [-1.0, 1.0]


def test_the_command_ends_with_one_line_of_error_and_its_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gen-scenarios", "--base_dir", str(tmp_path / "nowhere"), "--output_dir", str(tmp_path / "out")]) == 2
    assert main(["gen-scenarios", "--n_train", "-1"]) == InputError.exit_code != RoadSenseError.exit_code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)


def test_a_dataset_of_the_same_settings_is_opened_and_of_others_refused_by_name(small_config, small_dataset):
    assert generate_dataset(small_config) == small_dataset
    assert replace(small_config, output_dir=small_config.output_dir.parent / "none").open_existing() is None
    with pytest.raises(DatasetError, match="was made with seed 0, not 1, n_eval 2, not 3"):
        replace(small_config, seed=1, n_eval=3).open_existing()
