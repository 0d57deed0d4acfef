"""A drive beside a training, as a base scenario, and as hazards of the environment."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import sumolib

from roadsense.augment.config import GenConfig
from roadsense.augment.draws.ranges import VariationRanges, read_ranges
from roadsense.augment.generate import generate_dataset
from roadsense.cli import main
from roadsense.drives.base import BaseConfig, Formation, find_formation, fit_formation, make_base
from roadsense.drives.box_errors import fit_sensors
from roadsense.drives.compare import CompareConfig, compare_samples
from roadsense.drives.drive import read_drive
from roadsense.drives.hazards import cut_brakings
from roadsense.drives.judge import JudgeConfig
from roadsense.drives.ranges import fit_radio, make_ranges, write_ranges
from roadsense.drives.road import Road, trace_of
from roadsense.drives.sampling import sample_drive
from roadsense.drives.simulate import REAL, write_drive
from roadsense.envs.config import EnvConfig
from roadsense.envs.convoy_env import ConvoyEnv
from roadsense.envs.hazard import Hazard, HazardRanges, draw_hazard
from roadsense.envs.hazard_profile import HazardProfile
from roadsense.envs.radio.presets import ESP_NOW, get_preset, preset_from_json, preset_to_json
from roadsense.envs.recorded_hazard import RecordedBraking, read_recorded, write_recorded
from roadsense.envs.sensors import SENSORS, sensors_from_json, sensors_to_json
from roadsense.episodes.trajectory import load_trajectory
from roadsense.errors import DriveError, InputError, ScenarioError
from tests.drives.conftest import SCENARIO, write_straight_drive
from tests.osm_town import import_town


def test_what_lies_outside_comes_first():
    rng = np.random.default_rng(0)
    training = {"speed": rng.uniform(0, 20, 5000), "gap": rng.uniform(5, 40, 5000), "message age": np.full(50, 0.1)}
    drive = {"speed": rng.uniform(15, 25, 5000), "gap": rng.uniform(10, 30, 5000), "heard behind": np.array([30.0])}
    table = compare_samples(drive, training).set_index("quantity")
    assert list(table.index[:3]) == ["heard behind", "speed", "gap"]
    assert table.loc["heard behind", "outside"] == 1.0
    assert table.loc["speed", "outside"] == pytest.approx(0.45, abs=0.03)
    assert table.loc["gap", "outside"] == 0.0
    assert np.isnan(table.loc["message age", "outside"])
    assert table.loc["speed", "drive_median"] == pytest.approx(20, abs=0.3)


def test_the_fitted_radio_is_the_one_that_was_simulated(dirty):
    fit = fit_radio(read_drive(dirty))
    assert fit.preset.loss[1] == pytest.approx(ESP_NOW.loss[1], abs=0.07)
    assert fit.preset.latency_mean_s == pytest.approx(ESP_NOW.latency_mean_s, abs=0.003)
    assert fit.preset.speed_std_mps == pytest.approx(0.04, abs=0.015)
    assert 0.1 < fit.preset.acceleration_std_mps2 < 0.4  # SUMO's drivers dawdle by themselves


def test_the_fitted_sensors_cover_those_of_the_boxes(record, tmp_path):
    true = {"fix_interval_s": 0.2, "velocity_std_mps": 0.15, "position_std_m": 0.4, "noise_mps2": 0.6,
            "acceleration_step_mps2": 0.01}  # fmt: skip
    boxes = replace(REAL, sensors=replace(SENSORS["good"], **{name: (value, value) for name, value in true.items()}))
    write_drive(tmp_path, record, get_preset("esp_now"), boxes, np.random.default_rng(2), dirty=False)
    ranges, notes = fit_sensors(read_drive(tmp_path))
    for name, value in true.items():
        low, high = getattr(ranges, name)
        assert low <= 1.1 * value, name
        assert high >= 0.9 * value, name
        assert high < 2 * value, name
    assert ranges.wander_std_m == SENSORS["hobby"].wander_std_m
    assert "wander_std_m" in notes[0]


def test_without_logs_of_other_cars_there_are_ranges_and_sensors_but_no_radio(perfect, tmp_path):
    folder = tmp_path / "alone"
    folder.mkdir()
    for name in ("V001_tx.csv", "V001_rx.csv"):
        shutil.copy(perfect / name, folder)
    drive = read_drive(folder)
    samples = sample_drive(drive)
    notes = write_ranges(tmp_path / "out.toml", drive, samples, samples)
    assert any("there is no radio" in note for note in notes)
    assert sensors_from_json((tmp_path / "out.sensors.json").read_text()).noise_mps2[1] < 0.3
    assert not (tmp_path / "out.radio.json").exists()


def test_ranges_cover_the_drive_and_only_grow(dirty):
    drive = read_drive(dirty)
    own = sample_drive(drive)
    slow = {"speed": own["speed"] / 2, "gap": own["gap"]}
    ranges, notes = make_ranges(drive, own, slow)
    usual = VariationRanges()
    assert ranges.speed_mean[1] > usual.speed_mean[1]
    assert ranges.speed_mean[0] <= usual.speed_mean[0]
    assert any(note.startswith("speed_mean is") for note in notes)


def test_one_command_writes_the_table_ranges_and_a_radio(dirty, tiny_bases, tmp_path, capsys):
    ranges_file, output = tmp_path / "out.toml", tmp_path / "table.csv"
    words = ["drive", "compare", str(dirty), "--dataset", str(tiny_bases), "--episodes", "2", "--v2v", "esp_now"]
    assert main([*words, "--ranges_file", str(ranges_file), "--output", str(output)]) == 0
    shown = capsys.readouterr().out
    assert "| quantity | unit | outside |" in shown
    assert "heard ahead" in output.read_text()
    ranges, _ = read_ranges(ranges_file, VariationRanges())
    assert ranges.given
    radio, sensors = tmp_path / "out.radio.json", tmp_path / "out.sensors.json"
    assert preset_from_json(radio.read_text()).range_m > 20
    assert preset_from_json(radio.read_text()).speed_std_mps == 0  # it does not count twice
    with ConvoyEnv([SCENARIO], config=EnvConfig(v2v=str(radio), sensors=str(sensors))) as env:
        _, info = env.reset(seed=0)
    assert info["sensors"] == str(sensors)
    assert main([*words, "--ranges_file", str(ranges_file)]) == 2


@pytest.mark.parametrize("name", ["out.toml", "out.sensors.json", "out.radio.json", "table.csv"])
def test_no_file_of_a_comparison_is_written_over(name, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(DriveError, match=f"{name} is there"):
        CompareConfig("log", "data", tmp_path / "out.toml", tmp_path / "table.csv")


def test_the_road_is_where_the_drive_was(record, dirty):
    way = trace_of(read_drive(dirty))
    length_m = np.hypot(*np.diff(way[:, :2], axis=0).T).sum()
    driven_m = np.hypot(*np.diff(record.states[:, 0, :2], axis=0).T).sum()
    assert length_m > 0.97 * driven_m
    course = np.unwrap(np.arctan2(*np.diff(way[:, :2], axis=0).T[::-1]))
    assert np.abs(np.diff(course)).max() < 0.3


def test_a_drive_becomes_a_base_that_generates(dirty, tmp_path):
    notes = make_base(BaseConfig(dirty, tmp_path / "bases" / "my_drive", check=False))
    assert any("own trace" in note for note in notes)
    drive = read_drive(dirty)
    formation = find_formation(drive)
    text = (tmp_path / "bases" / "my_drive" / "routes.rou.xml").read_text()
    assert text.count("<vehicle ") == len(formation.spacings_m) + 1
    assert 'vehsPerHour="300"' in text
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "dataset", n_train=2, n_eval=1, workers=2))
    assert dataset.table()["scenarios"].sum() == 3
    with pytest.raises(InputError, match="holds something"):
        make_base(BaseConfig(dirty, tmp_path / "bases" / "my_drive"))


def test_on_a_map_the_convoy_drives_on_its_roads(tmp_path):
    import_town(tmp_path)
    drive = write_straight_drive(tmp_path / "drive", length_m=1100.0, spacing_m=14.0, speed_mps=10.0)
    notes = make_base(BaseConfig(drive, tmp_path / "bases" / "town", osm=tmp_path / "town.osm", check=False))
    assert any("edges of town.osm" in note for note in notes)
    assert any("14 m apart at 10.0 m/s, closer than SUMO lets cars depart" in note for note in notes)
    dataset = generate_dataset(GenConfig(tmp_path / "bases", tmp_path / "dataset", n_train=1, n_eval=1, workers=2))
    assert dataset.table()["scenarios"].sum() == 2
    judged = tmp_path / "judged"
    words = ["drive", "judge", str(drive), "--policy", "unassisted", "--osm", str(tmp_path / "town.osm")]
    assert main([*words, "--output", str(judged)]) == 0
    assert len(load_trajectory(judged / "part_1.npz").lanes) > 10


def test_another_place_on_the_map_is_refused(tmp_path):
    import_town(tmp_path)
    drive = write_straight_drive(tmp_path / "drive", length_m=600.0, spacing_m=20.0, speed_mps=10.0, north_m=150.0)
    with pytest.raises(DriveError, match="Is it the extract of this place"):
        make_base(BaseConfig(drive, tmp_path / "base", osm=tmp_path / "town.osm"))
    (tmp_path / "bomb.osm").write_text("<!DOCTYPE osm [<!ENTITY a 'b'>]><osm>&a;</osm>")
    with pytest.raises(ScenarioError):
        make_base(BaseConfig(drive, tmp_path / "base_2", osm=tmp_path / "bomb.osm"))


def test_altitudes_become_slopes(tmp_path):
    drive = write_straight_drive(tmp_path / "drive", length_m=800.0, spacing_m=30.0, speed_mps=15.0, slope=0.05)
    notes = make_base(BaseConfig(drive, tmp_path / "base", check=False))
    assert any("it climbs" in note for note in notes)
    net = sumolib.net.readNet(str(tmp_path / "base" / "network.net.xml"))
    heights = [z for _, _, z in net.getEdge("drive").getShape3D()]
    assert max(heights) - min(heights) == pytest.approx(0.05 * 800, rel=0.15)


def road(length_m):
    return Road(("drive",), length_m, 25.0, np.array([[0.0, 0.0], [length_m, 0.0]]), 2, "")


def test_a_close_convoy_departs_slower_and_says_so():
    formation = Formation(10.0, (14.0, 14.0), 10.0, 100.0, 0.0)
    fitted, notes = fit_formation(formation, road(2000))
    assert fitted.spacings_m == (14.0, 14.0)
    assert fitted.speed_mps < 10
    assert "14 m apart at 10.0 m/s, closer than SUMO lets cars depart" in notes[0]


def test_a_short_road_drops_cars_and_says_so():
    fitted, notes = fit_formation(Formation(10.0, (60.0, 60.0, 60.0), 10.0, 100.0, 0.0), road(300))
    assert len(fitted.spacings_m) == 2
    assert notes[0].startswith("The road is short, 300 m")
    assert any("episodes end at its end" in note for note in notes)


def test_a_close_convoy_on_a_short_road_drives(tmp_path, capsys):
    """14 m apart at 10 m/s on 400 m: handled with a sentence, not refused."""
    drive = write_straight_drive(tmp_path / "drive", length_m=400.0, spacing_m=14.0, speed_mps=10.0)
    assert main(["drive", "base", str(drive), str(tmp_path / "bases" / "close"), "--flow_vph", "0"]) == 0
    shown = capsys.readouterr().out
    assert "closer than SUMO lets cars depart" in shown
    assert "the convoy is one" in shown


def test_an_empty_drive_cannot_be_a_base(perfect, tmp_path):
    (tmp_path / "V001_tx.csv").write_text((perfect / "V001_tx.csv").read_text())
    with pytest.raises(DriveError, match="Drive with two boxes or more"):
        make_base(BaseConfig(tmp_path, tmp_path / "base"))


def braking(name="sample_V002_33s"):
    return RecordedBraking(name, 0.1, (20.0, 20.0, 19.0, 17.0, 14.0, 11.0, 10.0, 10.0))


def test_brakings_are_cut_as_they_were(record, perfect):
    found = cut_brakings(read_drive(perfect))
    assert found
    true = record.states[:, 1, 2]
    (first,) = [one for one in found if "V002" in one.name][:1]
    speeds = np.array(first.speeds_mps)
    assert min(np.abs(true[k : k + len(speeds)] - speeds).max() for k in range(len(true) - len(speeds))) < 0.05


def test_hazards_are_written_by_a_command_and_read_back(dirty, tmp_path, capsys):
    path = tmp_path / "hazards.json"
    assert main(["drive", "hazards", str(dirty), "--output", str(path)]) == 0
    assert "--recorded_share" in capsys.readouterr().out
    assert read_recorded(str(path))[0].lasts_s > 1
    assert main(["drive", "hazards", str(dirty), "--output", str(path)]) == 2


def test_a_car_repeats_a_recorded_braking_scaled():
    hazard = Hazard(0, 5.0, 5.0, kind="recorded", recorded=braking(), strength=1.2, hold_s=0.3)
    profile = HazardProfile(hazard, 0.1)
    assert profile.begin(15.0)
    speeds = []
    while (speed := profile.advance(15.0)) is not None:
        speeds.append(speed)
    expected = [15 - 1.2 * lost for lost in (0, 1, 3, 6, 9, 10, 10)]
    assert speeds[:7] == pytest.approx(expected)
    assert len(speeds) == pytest.approx(7 + 3, abs=1)


def test_recorded_hazards_are_drawn_in_their_share_and_change_no_other_draw(tmp_path):
    path = tmp_path / "hazards.json"
    path.write_text(write_recorded([braking("a"), braking("b")]))
    ranges = HazardRanges(probability=1.0, recorded_share=0.4, recorded_file=str(path))
    drawn = [draw_hazard(np.random.default_rng(seed), ranges, 3) for seed in range(500)]
    recorded = [one for one in drawn if one.kind == "recorded"]
    assert len(recorded) / 500 == pytest.approx(0.4, abs=0.06)
    assert {one.recorded.name for one in recorded} == {"a", "b"}
    assert all(0.8 <= one.strength <= 1.2 for one in recorded)
    plain = replace(ranges, recorded_share=0.0)
    for seed, one in enumerate(drawn):
        if one.kind != "recorded":
            assert draw_hazard(np.random.default_rng(seed), plain, 3) == one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "schema_version"),
        (json.dumps({"schema_version": 1, "brakings": []}), "0 brakings"),
        (write_recorded([braking()]).replace("20.0", "-3.0"), "expected speeds from 0 to 100"),
        ("[" * 100_000, "recorded hazards of version 1"),
    ],
)
def test_a_wrong_file_of_hazards_is_refused(tmp_path, text, message):
    path = tmp_path / "hazards.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_recorded(str(path))
    with pytest.raises(InputError, match="Make one with"):
        HazardRanges(recorded_share=0.5)


def test_a_forced_recorded_hazard_happens_and_is_named_in_the_outcome():
    hazard = Hazard(0, 2.0, 5.0, kind="recorded", recorded=braking(), strength=1.5)
    with ConvoyEnv([SCENARIO], config=EnvConfig(n_steps=80)) as env:
        env.reset(seed=0, options={"hazard": hazard})
        speeds, over = [], False
        while not over:
            _, _, terminated, truncated, info = env.step(np.zeros(1, np.float32))
            over = terminated or truncated
            speeds.append(info["leader_speed_mps"])
    assert info["outcome"]["hazard_kind"] == "recorded:sample_V002_33s"
    assert speeds[19] - min(speeds[20:30]) == pytest.approx(15.0, abs=1.5)


def test_paths_are_those_of_the_workspace_from_a_notebooks_folder(tmp_path, monkeypatch):
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).mkdir()
    (tmp_path / "mine.json").write_text(sensors_to_json(SENSORS["hobby"]))
    (tmp_path / "radio.json").write_text(preset_to_json(ESP_NOW))
    (tmp_path / "hazards.json").write_text(write_recorded([braking()]))
    monkeypatch.chdir(tmp_path / "notebooks")
    assert BaseConfig("log", "scenarios/mine", osm="town.osm").folder == tmp_path / "scenarios" / "mine"
    assert CompareConfig("log", "data", ranges_file="out.toml").ranges_file == tmp_path / "out.toml"
    assert JudgeConfig("log", "default", output="judged").output == tmp_path / "judged"
    config = EnvConfig(v2v="radio.json", sensors="mine.json", hazards=HazardRanges(recorded_file="hazards.json"))
    assert config.find_radio(None) == ESP_NOW
