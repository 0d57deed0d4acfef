"""A policy that Stable-Baselines3 alone has trained is judged, watched and exported; no run is needed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from roadsense.cli import main
from roadsense.evaluation.results import open_evaluation
from roadsense.policies.tflite import TflitePolicy
from roadsense.policies.trained import load_policy
from tests.exporting.models import draw

TRAIN = """
import sys
import gymnasium
from stable_baselines3 import PPO

env = gymnasium.make("roadsense.envs:roadsense/Convoy-v0", scenario_dir=sys.argv[1])
PPO("MultiInputPolicy", env, n_steps=256, seed=0, device="cpu").learn(512).save(sys.argv[2])
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory, small_dataset):
    """A folder with `mine.zip`, far from any run, and the dataset beside it."""
    folder = tmp_path_factory.mktemp("plain")
    command = [sys.executable, "-c", TRAIN, small_dataset.folder / "train", folder / "mine.zip"]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(autouse=True)
def _here(place, monkeypatch):
    monkeypatch.chdir(place)


def test_it_is_evaluated_with_what_is_unknown_said(place, small_dataset, capsys):
    words = ["--dataset_dir", str(small_dataset.folder / "eval"), "--episodes_per_scenario=1", "--episode_steps=40"]
    words += ["--no-checks_column", "--split_episodes=0", "--curve_episodes=0", "--gallery_size=1", "--workers=2"]
    assert main(["evaluate", "mine.zip", *words, "--beside", "careful=cautious_rule"]) == 0
    assert "Report: " in capsys.readouterr().out
    (report,) = place.glob("runs/policies/mine-*/evaluation/report.html")
    evaluation = open_evaluation(report.parent)
    assert {"policy", "careful", "unassisted"} <= set(evaluation.summary["policy"])
    assert evaluation.origin["policy_trainings"]["policy"]["dataset_digest"] == "unknown"
    assert "unknown" in report.read_text()
    own = evaluation.episodes.query("policy == 'policy'").index[0]
    assert main(["replay", str(report.parent), str(own)]) == 0
    assert "the same as before in every figure" in capsys.readouterr().out


def test_it_is_seen_driving(place, small_dataset):
    scenario = str(next((small_dataset.folder / "eval").rglob("*.sumocfg")))
    assert main(["enjoy", "mine.zip", "--scenario", scenario, "--episode_steps=5", "--video", "mine.gif"]) == 0
    with Image.open("mine.gif") as video:
        assert video.n_frames == 6


def test_it_is_exported_and_the_file_acts_as_the_zip(place, small_dataset):
    words = ["--dataset_dir", str(small_dataset.folder), "--n_observations=60", "--no-int8", "--formats", "tflite"]
    assert main(["export", "mine.zip", *words, "--episodes_per_scenario=0"]) == 0
    (path,) = place.glob("runs/policies/mine-*/export/policy.tflite")
    observations = draw(20)
    exported, own = TflitePolicy(path)(observations), load_policy(Path("mine.zip"))(observations)
    assert abs(exported - own).max() < 1e-5
    card = json.loads((path.parent / "model_card.json").read_text())
    assert card["training"]["dataset_digest"] is None
