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

from roadsense import gen_scenarios
from roadsense.dataset import Dataset, ScenarioRecord
from roadsense.errors import DatasetError, GateError, InputError, RoadSenseError, ScenarioError
from roadsense.gen_scenarios import GenConfig, generate_dataset, main
from roadsense.rebuild import rebuild_differences
from roadsense.scenario import ScenarioName, open_scenario
from roadsense.sumo_program import run_sumo
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


def test_the_files_hold_exactly_the_drawn_values(small_dataset: Dataset, tiny_bases: Path) -> None:
    for record in small_dataset.scenarios:
        base = ET.parse(tiny_bases / record.base / "routes.rou.xml").getroot()
        routes, drawn = routes_of(small_dataset, record), record.variation
        for old, new in zip(base.iter("flow"), sorted(routes.iter("flow"), key=lambda f: f.get("id")), strict=True):
            draw = drawn["flows"][new.get("id")]
            assert float(new.get("vehsPerHour")) == round(float(old.get("vehsPerHour")) * draw["density"], 4)
            assert float(new.get("begin")) == draw["shift_s"]
            assert float(new.get("end")) == pytest.approx(100 + draw["shift_s"])
        for kind in routes.iter("vType"):
            draw = drawn["types"][kind.get("id")]
            mean, dev, low, high = map(float, re.findall(r"[\d.]+", kind.get("speedFactor")))
            assert (mean, dev) == (draw["speed_mean"], draw["speed_dev"])
            assert (low, high) == (pytest.approx(mean - 0.2), pytest.approx(mean + 0.2))
            assert kind.get("speedDev") is None
            assert float(kind.get("sigma")) == (0.0 if kind.get("id") == "ego" else draw["sigma"])
        departs = {float(car.get("depart")) for car in routes.iter("vehicle")}
        assert departs == {round(10.0 + drawn["convoy_shift_s"], 2)}
        config = ET.parse(small_dataset.folder / record.config)
        assert config.find(".//seed").get("value") == str(drawn["sumo_seed"])


def test_edits_are_all_that_differs_from_the_base(small_dataset: Dataset, tiny_bases: Path) -> None:
    for record in small_dataset.scenarios:
        source, target = tiny_bases / record.base, small_dataset.folder / record.split / record.name
        assert (target / "network.net.xml").read_bytes() == (source / "network.net.xml").read_bytes()
        old = {(e.tag, e.get("id")): e.attrib for e in ET.parse(source / "routes.rou.xml").getroot()}
        new = {(e.tag, e.get("id")): e.attrib for e in routes_of(small_dataset, record)}
        differing = {
            (*key, name, old[key].get(name), new[key].get(name))
            for key in old
            for name in old[key].keys() | new[key].keys()
            if old[key].get(name) != new[key].get(name)
        }
        edits = {(e["element"], e["id"], e["attribute"], e["original"], e["new"]) for e in record.edits}
        assert old.keys() == new.keys()
        assert differing == {edit for edit in edits if edit[0] != "seed" and edit[3] != edit[4]}


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
        assert float(routes["a"].get("period")) == pytest.approx(8 / drawn["a"]["density"], abs=1e-4)
        assert int(routes["b"].get("number")) == round(4 * drawn["b"]["density"])
        assert float(routes["lone"].get("depart")) == pytest.approx(2 + drawn["lone"]["shift_s"])


def test_rebuilding_gives_the_same_and_says_what_a_changed_base_changes(
    small_dataset: Dataset, tiny_bases: Path, tmp_path: Path
) -> None:
    assert rebuild_differences(small_dataset, tiny_bases) == []
    routes = shutil.copytree(tiny_bases, tmp_path / "bases") / "slow_road" / "routes.rou.xml"
    routes.write_text(routes.read_text().replace('vehsPerHour="600"', 'vehsPerHour="610"'))
    changed = rebuild_differences(small_dataset, tmp_path / "bases")
    assert any("slow_road" in line and "routes.rou.xml" in line for line in changed)
    assert not any("fast_road" in line for line in changed)


def test_a_refused_draw_is_recorded_and_drawn_again(network: Path, tmp_path: Path) -> None:
    # A departure speed that only some of the drivers can have.
    write_base(tmp_path / "bases" / "hasty", network, FLOWS + convoy(spacing_m=60, speed="23"))
    config = GenConfig(tmp_path / "bases", tmp_path / "out", n_train=4, n_eval=2)
    dataset = generate_dataset(config)
    assert len(dataset.scenarios) == 6
    assert any("match departure speed" in reason for row in dataset.refusals for reason in row["reasons"])
    assert all(ScenarioName.parse(row["name"]).base == row["base"] == "hasty" for row in dataset.refusals)
    assert all(record.variation["types"]["ego"]["speed_mean"] > 0.9 for record in dataset.scenarios)


def test_a_base_refused_too_often_stops_with_the_reasons_and_leaves_nothing(network: Path, tmp_path: Path) -> None:
    write_base(tmp_path / "bases" / "tight", network, FLOWS + convoy(spacing_m=8))
    config = GenConfig(tmp_path / "bases", tmp_path / "out", n_train=2, n_eval=1, max_refusals_per_base=3)
    with pytest.raises(GateError, match=r"tight: 4 draws refused.*Reasons: the convoy came .* s late"):
        generate_dataset(config)
    assert [path.name for path in tmp_path.iterdir()] == ["bases"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_end_in_the_middle_leaves_nothing(
    small_config: GenConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    def stop(*_: object) -> None:
        assert list(tmp_path.glob(".out.*/out/train/*"))
        raise error

    monkeypatch.setattr(gen_scenarios, "write_manifest", stop)
    with pytest.raises(error):
        generate_dataset(replace(small_config, output_dir=tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_is_refused_and_untouched(small_config: GenConfig, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"already there and not empty.*Give another output_dir"):
        generate_dataset(replace(small_config, output_dir=tmp_path))
    assert files_of(tmp_path) == {"notes.txt": b"mine"}


def test_an_empty_folder_is_filled(small_config: GenConfig, tmp_path: Path) -> None:
    dataset = generate_dataset(replace(small_config, output_dir=tmp_path, n_train=1, n_eval=1))
    assert dataset.verify() == []


@pytest.mark.parametrize(
    ("setting", "value"),
    [("n_train", 0), ("n_eval", -1), ("seed", -1), ("workers", -2), ("n_train", 1.5), ("min_split_distance", 2.0)],
)
def test_settings_that_make_no_dataset_are_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(InputError, match=f"{setting}: expected .* got {value}"):
        GenConfig(**{setting: value})


BAD_BASES = {
    "no convoy": (FLOWS, CONFIG, "expected vehicles V001"),
    "foreign type": (FLOWS + convoy().replace("convoy_car", "tank"), CONFIG, r"got \['tank'\]"),
    "too early": (FLOWS + convoy(depart_s=1), CONFIG, "expected the convoy to depart at 3 s or later"),
    "elsewhere": (FLOWS, CONFIG.replace("routes.rou.xml", "../routes.rou.xml"), "outside its folder"),
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
    write_base(tmp_path / "a" / "road", network)
    write_base(tmp_path / "b" / "road", network)
    with pytest.raises(ScenarioError, match="folders of different names"):
        generate_dataset(GenConfig(tmp_path, tmp_path / "out"))
    write_base(tmp_path / "c" / "my-road", network)
    with pytest.raises(ScenarioError, match=r"letters, digits and _, got \['my-road'\]"):
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
    assert main(["--base_dir", str(tmp_path / "nowhere"), "--output_dir", str(tmp_path / "out")]) == 2
    assert main(["--n_train", "0"]) == InputError.exit_code != RoadSenseError.exit_code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)
