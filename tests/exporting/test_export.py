"""What an export leaves, and that it is whole or not there."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import A2C

from roadsense.cli import main
from roadsense.envs import observation
from roadsense.envs.observation import Observation
from roadsense.errors import InputError, RunError, ScenarioError
from roadsense.export import ExportConfig, ExportError, export_policy
from roadsense.exporting.micro import MicroPolicy
from roadsense.exporting.observations import CalibrationError
from roadsense.policies.models import as_model_input
from roadsense.policies.rules import HeardBrakingRule
from roadsense.policies.tflite import TflitePolicy, read_card
from roadsense.utils.files import hash_file
from tests.exporting.conftest import N_OBSERVATIONS, ONNX, OPTIONS
from tests.exporting.models import DEEP_SETS, Spaces, build_ppo

RUN_OF_0_1_0 = Path(__file__).parents[1] / "data" / "run_of_0_1_0"
"""A run whose policy names modules that lie elsewhere today."""
BASES = Path(__file__).parents[2] / "scenarios" / "base"
SKELETON = Path(__file__).parents[2] / "roadsense" / "exporting" / "c" / "platformio"
FILES = {
    "policy.tflite", "policy_int8.tflite", "checksums.json", "model_card.json", "model_card.md", "observations.npz",
    "episodes.csv", "settings.json",
    "firmware/observation.h", "firmware/policy_float32.h", "firmware/policy_int8.h", "firmware/golden.h",
    "firmware/golden.json", "firmware/places.h", "firmware/golden_places.h", "firmware/policy.h", "firmware/policy.c",
    *(["policy.onnx"] if ONNX else []),
    *(f"firmware/platformio/{path.relative_to(SKELETON)}" for path in SKELETON.rglob("*") if path.is_file()),
}  # fmt: skip


def files_in(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def copy_run(trained_run, tmp_path):
    """A run of its own to export: the trained one without its export."""
    run_dir = tmp_path / "run"
    shutil.copytree(trained_run, run_dir, ignore=shutil.ignore_patterns("export", "checkpoints"))
    return run_dir


def save_run(folder, model):
    folder.mkdir()
    model.save(folder / "model.zip")
    write_version(folder)
    return folder


def write_version(folder):
    (folder / "manifest.json").write_text(json.dumps({"observation_version": observation.OBSERVATION_VERSION}))


def load_observations(folder):
    with np.load(folder / "observations.npz") as archive:
        arrays = dict(archive)
    return Observation(**{name: arrays.pop(name) for name in ("ego", "peers", "peer_mask")}), arrays


def test_the_folder_holds_everything_and_the_command_says_where(exported):
    assert set(files_in(exported.folder)) == FILES
    assert not list(exported.run_dir.glob(".export*"))
    for name, found in exported.card["files"].items():
        path = exported.folder / name
        assert found["size_bytes"] == path.stat().st_size
        assert found["sha256"] == hash_file(path)
        assert f"{path}, {found['size_bytes']} bytes" in exported.out


def test_a_policy_of_an_earlier_layout_of_the_package_is_exported(small_dataset, tmp_path):
    run_dir = shutil.copytree(RUN_OF_0_1_0, tmp_path / "run")
    export = export_policy(
        ExportConfig(
            str(run_dir), str(small_dataset.folder), n_observations=100, int8=False, episodes_per_scenario=0, workers=1
        )
    )
    assert export.path.stat().st_size > 1000
    assert export.card["parity"]["float32"]["differences"]["TFLite Micro"]["max"] < 1e-5


def test_the_goals_of_size_are_met(exported):
    sizes = {name: (found["size_bytes"], found["arena_bytes"]) for name, found in exported.card["files"].items()}
    assert sizes["policy.tflite"][0] < 45_000
    assert sizes["policy_int8.tflite"][0] < 20_000
    assert all(arena < 8_000 for _, arena in sizes.values())


def test_observations_are_real_and_hold_hazards_and_the_stored_actions_are_those_of_the_files(exported):
    observations, actions = load_observations(exported.folder)
    assert len(observations["ego"]) == N_OBSERVATIONS
    assert (HeardBrakingRule()(observations) > 0).mean() > 0.1
    assert not observations["peers"][observations["peer_mask"] == 0].any()
    trained, _ = exported.model.predict(as_model_input(exported.model, observations), deterministic=True)
    np.testing.assert_array_equal(actions["action_trained"], trained)
    for variant, name in {"float32": "policy.tflite", "int8": "policy_int8.tflite"}.items():
        path = exported.folder / name
        policy = MicroPolicy(path, TflitePolicy(path).input_names)
        np.testing.assert_array_equal(policy(observations), actions[f"action_{variant}"])
        difference = np.abs(actions[f"action_{variant}"].astype(float) - trained)
        found = exported.card["parity"][variant]["differences"]["TFLite Micro"]
        assert found["max"] == pytest.approx(difference.max(), rel=1e-4)
        assert found["rms"] == pytest.approx(np.sqrt((difference**2).mean()), rel=1e-4)
        assert found["p99"] == pytest.approx(np.quantile(difference, 0.99), rel=1e-4)


def test_parity_is_within_the_bounds_and_not_vacuous(exported):
    parity = exported.card["parity"]
    for differences in parity["float32"]["differences"].values():
        assert 0 < differences["max"] <= 1e-5
    assert parity["float32"]["between_runtimes"]["max"] == 0
    for differences in parity["int8"]["differences"].values():
        assert 1e-4 < differences["rms"] <= 0.03
        assert differences["rms"] <= differences["p99"] <= 0.1
    assert parity["float32"]["n_observations"] == N_OBSERVATIONS
    assert parity["float32"]["n_within_bounds"] > 50


def test_the_exported_files_drove_the_same_held_out_episodes(exported, small_dataset):
    episodes = pd.read_csv(exported.folder / "episodes.csv", dtype={"error": str}).fillna({"error": ""})
    assert episodes.groupby("policy").size().to_dict() == {"trained": 6, "float32": 6, "int8": 6}
    assert {Path(path).parent.parent for path in episodes["config_path"]} == {small_dataset.folder / "eval"}
    for column in ("config_path", "seed", "hazard_forced", "hazard_car", "driver_reaction_time_s"):
        sides = [own[column].tolist() for _, own in episodes.fillna(-1).groupby("policy")]
        assert sides[0] == sides[1] == sides[2]
    driving = exported.card["closed_loop"]
    assert driving["held_out"] is True
    assert {found["episodes"] for found in driving["comparisons"].values()} == {6}
    for found in driving["comparisons"].values():
        low, high = found["collision_rate"]["low"], found["collision_rate"]["high"]
        assert low <= found["collision_rate"]["value"] <= high
        assert found["in_words"] in exported.out + exported.err


def test_float32_drives_as_the_original_does(exported):
    episodes = pd.read_csv(exported.folder / "episodes.csv")
    by_policy = {name: own.reset_index(drop=True) for name, own in episodes.groupby("policy")}
    for column in ("collision", "assist_reaction_time_s", "false_brakings"):
        pd.testing.assert_series_equal(by_policy["float32"][column], by_policy["trained"][column])
    np.testing.assert_allclose(by_policy["float32"]["distance_m"], by_policy["trained"]["distance_m"], atol=0.01)


def test_a_policy_pickles_and_a_batch_gives_what_its_rows_give(exported):
    observations, _ = load_observations(exported.folder)
    policy = TflitePolicy(exported.folder / "policy_int8.tflite")
    copy, actions = pickle.loads(pickle.dumps(policy)), policy(observations)
    rows = [copy(Observation(**{name: v[[i]] for name, v in observations.items()})) for i in range(20)]
    np.testing.assert_array_equal(np.concatenate(rows), actions[:20])


def same_settings(exported):
    formats = ("tflite", "c", *(("onnx",) if ONNX else ()))
    return ExportConfig(str(exported.run_dir), formats=formats, **OPTIONS)


def test_other_settings_are_refused_by_name_and_the_export_is_untouched(exported):
    before = files_in(exported.folder)
    config = replace(same_settings(exported), n_observations=500, seed=4)
    with pytest.raises(RunError, match=r"made with n_observations 600, not 500, seed 3, not 4\. Move it away"):
        export_policy(config)
    assert files_in(exported.folder) == before


def test_the_same_settings_open_the_export_with_all_it_found(exported):
    before = files_in(exported.folder)
    again = export_policy(replace(same_settings(exported), workers=1))
    assert files_in(exported.folder) == before
    assert [found.in_words() for found in again.comparisons] == [
        found["in_words"] for found in exported.card["closed_loop"]["comparisons"].values()
    ]
    assert len(again.actions) == N_OBSERVATIONS
    differences = (again.actions["int8"] - again.actions["trained"]).abs().max()
    assert differences == pytest.approx(again.parity().query("policy == 'int8'")["max"].iloc[1], rel=1e-4)
    assert again.sizes()["file"].tolist() == ["policy.tflite", "policy_int8.tflite"]


def test_an_export_whose_file_was_changed_is_not_opened(exported, tmp_path):
    run_dir = tmp_path / "run"
    shutil.copytree(exported.run_dir, run_dir)
    with (run_dir / "export" / "policy.tflite").open("ab") as file:
        file.write(b"0")
    with pytest.raises(RunError, match=r"policy\.tflite is not the file that was exported"):
        export_policy(replace(same_settings(exported), run_dir=str(run_dir)))


@pytest.mark.parametrize(
    ("bounds", "word"),
    [
        ({"tolerance": 0.0, "int8": False}, r"float32 policy within 0 .*\(rms\), got a difference"),
        ({"int8_max": 1e-4}, r"--no-int8"),
    ],
)
def test_breach_of_a_bound_leaves_nothing(trained_run, tmp_path, bounds, word):
    run_dir = copy_run(trained_run, tmp_path)
    before = files_in(run_dir)
    with pytest.raises(ExportError, match=word):
        export_policy(ExportConfig(str(run_dir), n_observations=200, n_calibration=200, **bounds))
    assert files_in(run_dir) == before
    assert "tensorflow" not in sys.modules


def test_a_large_policy_alone_undriven_is_said_loudly_and_named(trained_run, tmp_path, capsys):
    run_dir = copy_run(trained_run, tmp_path)
    build_ppo(**DEEP_SETS, net_arch=[512, 512]).save(run_dir / "best_model.zip")
    options = ["--no-int8", "--n_observations", "100", "--episodes-per-scenario=0"]
    formats = ["--model", "best", "--formats", "tflite"]
    assert main(["export", "--run_dir", str(run_dir), *options, *formats]) == 0
    said, folder = capsys.readouterr().err, run_dir / "export"
    assert "WARNING: the exported policy was not driven" in said
    assert "WARNING: policy.tflite takes 1," in said
    left_out = ("int8", "episodes.csv", "onnx", "policy.c", "policy.h", "platformio")
    assert set(files_in(folder)) == {name for name in FILES if not any(part in name for part in left_out)}
    text = (folder / "model_card.md").read_text()
    assert "was not driven" in text
    assert "> **WARNING: policy.tflite takes 1," in text
    assert "| model | best_model.zip |" in text
    assert hash_file(run_dir / "best_model.zip") in text
    assert "int8" not in (folder / "firmware" / "golden.h").read_text().lower()


def test_a_policy_that_is_not_there_is_refused(trained_run, tmp_path):
    run_dir = copy_run(trained_run, tmp_path)
    refused(run_dir, RunError, "expected last, best or the file of a policy, got 'best'", model="best")
    refused(run_dir, RunError, "no.zip", model=str(tmp_path / "no.zip"))


@pytest.mark.skipif(not ONNX, reason="no onnxruntime on this machine: install roadsense[onnx]")
def test_onnx_acts_as_the_trained_policy(exported):
    from roadsense.exporting.onnx_file import run_onnx

    observations, actions = load_observations(exported.folder)
    found = run_onnx((exported.folder / "policy.onnx").read_bytes(), observations)
    np.testing.assert_allclose(found, actions["action_trained"], rtol=0, atol=1e-5)
    assert exported.card["onnx"]["sha256"] == hash_file(exported.folder / "policy.onnx")


def test_plain_c_is_compared_and_measured_and_the_card_says_so(exported):
    found, text = exported.card["c"], (exported.folder / "model_card.md").read_text()
    assert 0 < found["difference"]["max"] <= 1e-5
    assert found["chips"]
    for name, chip in found["chips"].items():
        assert f"| {name} | {chip['instructions']} |" in text
    assert found["chips_origin"] in text


def refused(run_dir, error, words, **options):
    before = files_in(run_dir)
    with pytest.raises(error, match=words) as caught:
        export_policy(ExportConfig(str(run_dir), **options))
    assert files_in(run_dir) == before
    assert caught.value.exit_code == 2


def test_a_run_without_a_model_is_refused(tmp_path):
    (tmp_path / "run").mkdir()
    refused(tmp_path / "run", RunError, r"model\.zip")
    write_version(tmp_path / "run")
    (tmp_path / "run" / "model.zip").write_bytes(b"no zip")
    refused(tmp_path / "run", RunError, "expected a policy of PPO", dataset_dir=str(BASES))


def test_a_policy_of_another_observation_version_is_refused(trained_run, tmp_path, monkeypatch):
    manifest = json.loads((trained_run / "manifest.json").read_text())
    assert manifest["observation_version"] == observation.OBSERVATION_VERSION
    run_dir = copy_run(trained_run, tmp_path)
    (run_dir / "manifest.json").write_text(json.dumps(manifest | {"observation_version": 99}))
    refused(run_dir, RunError, f"observation version {observation.KNOWN_VERSIONS}, got 99")


def test_an_exported_file_of_another_observation_version_is_refused(exported, monkeypatch):
    path = exported.folder / "policy.tflite"
    assert read_card(path)["observation_version"] == observation.OBSERVATION_VERSION
    monkeypatch.setattr("roadsense.policies.tflite.N_PEER_FIELDS_OF", {99: 8})
    with pytest.raises(InputError, match=f"observation version .*, got {observation.OBSERVATION_VERSION}"):
        TflitePolicy(path)


def test_a_network_with_an_unknown_part_is_refused(tmp_path):
    run_dir = save_run(tmp_path / "run", build_ppo(**DEEP_SETS, activation_fn=torch.nn.ELU))
    refused(run_dir, InputError, "ELU", dataset_dir=str(BASES))


def test_a_recurrent_policy_is_refused_by_name(tmp_path):
    run_dir = save_run(tmp_path / "run", RecurrentPPO("MultiInputLstmPolicy", Spaces(), device="cpu"))
    refused(run_dir, RunError, r"got a recurrent one \(RecurrentPPO\)", dataset_dir=str(BASES))


def test_int8_of_a_policy_that_never_brakes_is_refused_before_anything_is_driven(small_dataset, tmp_path):
    idle = A2C("MultiInputPolicy", Spaces(), device="cpu")
    torch.nn.init.constant_(idle.policy.action_net.bias, -5000.0)
    run_dir, scenarios = save_run(tmp_path / "run", idle), str(small_dataset.folder)
    words = "at most 0 of full braking: in int8 it could never brake"
    refused(run_dir, CalibrationError, words, dataset_dir=scenarios, n_calibration=200)


def test_a_calibration_set_that_misses_hazards_is_refused(exported, trained_run, tmp_path):
    observations, _ = load_observations(exported.folder)
    calm = HeardBrakingRule()(observations)[:, 0] == 0
    np.savez(tmp_path / "calm.npz", **{name: values[calm] for name, values in observations.items()})
    run_dir = copy_run(trained_run, tmp_path)
    refused(run_dir, CalibrationError, r"got 0\.0%", calibration=str(tmp_path / "calm.npz"))
    refused(
        run_dir, CalibrationError, r"Expected an \.npz .*there is no such file", calibration=str(tmp_path / "none.npz")
    )


def test_a_broken_scenario_and_a_run_that_names_no_scenarios_are_refused(tmp_path):
    run_dir = save_run(tmp_path / "run", build_ppo(**DEEP_SETS))
    refused(run_dir, InputError, "dataset_dir")
    (tmp_path / "roads").mkdir()
    (tmp_path / "roads" / "broken.sumocfg").write_text("<configuration/>")
    refused(run_dir, ScenarioError, r"broken\.sumocfg", dataset_dir=str(tmp_path / "roads"))


def test_a_missing_package_is_named(trained_run, tmp_path, monkeypatch):
    run_dir = copy_run(trained_run, tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "tflite_micro" else name)
    refused(run_dir, InputError, r"needs TFLite Micro. Install `roadsense\[export\]`")


@pytest.mark.parametrize(
    "change",
    [
        {"formats": ("c",)},
        {"formats": ("tflite", "hex")},
        {"n_observations": 0},
        {"n_calibration": 0.5},
        {"tolerance": -1.0},
        {"int8_rms": float("nan")},
        {"int8_max": float("inf")},
        {"seed": -1},
        {"episodes_per_scenario": -1},
    ],
)
def test_settings_are_checked_and_named(change):
    with pytest.raises(InputError, match=next(iter(change))):
        ExportConfig("run", **change)


def test_the_command_ends_with_2_and_one_line_for_wrong_input(tmp_path, capsys):
    assert main(["export", "--run_dir", str(tmp_path / "none"), "--dataset_dir", str(BASES)]) == 2
    assert capsys.readouterr().err.startswith("error: Expected the folder of a run")


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("roadsense.policies.deep_sets, roadsense.runs.run, roadsense.train_convoy, roadsense.export", "tensorflow"),
        ("roadsense.policies.tflite, roadsense.export", "torch"),
        ("roadsense.policies.tflite", "tflite_micro"),
    ],
)
def test_import_walls(modules, unwanted):
    code = f"import sys, {modules}; sys.exit({unwanted!r} in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
