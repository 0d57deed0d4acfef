"""Training, for real and tiny: two workers, a few hundred steps."""

import base64
import dataclasses
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from stable_baselines3 import PPO

from roadsense.cli import main
from roadsense.envs.config import RewardWeights
from roadsense.errors import InputError, RunError, ScenarioError, SimulationError
from roadsense.runs.run import Run, open_run, read_seeds
from roadsense.train_convoy import TrainConfig, train_policy, train_seeds
from roadsense.training.algorithms import learning_rate_at
from roadsense.training.train_config import PRESETS, restore_config
from roadsense.utils.command import parse_options
from tests.small_training import timesteps_of, wait_until

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
TINY = {
    "dataset_dir": str(BASE_DIR),
    "total_timesteps": 256,
    "imitation_timesteps": 128,
    "n_workers": 2,
    "rollout_steps": 64,
    "batch_size": 64,
    "n_epochs": 1,
    "episode_steps": 60,
}


def train_tiny(folder, **changes):
    return train_policy(TrainConfig(run_dir=str(folder), **{**TINY, **changes}))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("training") / "run")


def test_a_run_says_what_it_is_and_where_it_came_from(run):
    assert open_run(run.folder) == run
    assert run.read_config()["total_timesteps"] == 256
    manifest = run.read_manifest()
    assert manifest["n_scenarios"] == 5
    assert manifest["versions"]["libsumo"] == "1.28.0"


def test_metrics_are_lines_of_json_that_lead_to_the_end(run):
    lines = [json.loads(line) for line in run.metrics_path.read_text().splitlines()]
    timesteps = [line["timesteps"] for line in lines]
    assert timesteps == sorted(timesteps)
    assert timesteps[-1] == 256
    assert 100 < lines[-1]["memory_main_mb"] < 20_000  # of this process, which other tests have filled
    assert lines[-1]["memory_workers_mb"] > 100
    assert {"steps_per_s", "eta_s", "reward_mean", "collision_rate", "term_jerk", "value_loss"} <= set(lines[-1])


def test_the_model_acts_within_its_space(run):
    model = PPO.load(run.model_path, device="cpu")
    observations = {key: np.stack([box.sample() for _ in range(50)]) for key, box in model.observation_space.items()}
    actions, _ = model.predict(observations, deterministic=True)
    assert actions.shape == (50, 1)
    assert (actions >= 0).all()
    assert (actions <= 1).all()


def test_the_same_seed_trains_the_same_policy(run, tmp_path):
    again = train_tiny(tmp_path / "again")
    one, other = (PPO.load(path, device="cpu").policy.state_dict() for path in (run.model_path, again.model_path))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_training_leaves_nothing_in_the_temporary_folder(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    train_tiny(tmp_path / "run")
    left = [path for path in (tmp_path / "temporary").rglob("*") if path.parent != tmp_path / "temporary"]
    assert [path.name for path in left if "mp-" not in str(path)] == []


def test_a_run_is_never_overwritten(run):
    before = run.model_path.read_bytes()
    with pytest.raises(RunError, match="holds something"):
        train_tiny(run.folder)
    assert run.model_path.read_bytes() == before


def test_a_file_as_run_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        assert main(["train", *(f"--{name}={value}" for name, value in TINY.items()), "--run_dir", str(folder)]) == 2
    assert main(["train", "--seeds", "1", "2", "--run_dir", str(tmp_path / "file")]) == 2
    assert main(["train", "--resume", str(tmp_path / "file")]) == 2


def test_a_folder_without_scenarios_stops_before_anything_is_made(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScenarioError, match="found none"):
        train_tiny(tmp_path / "run", dataset_dir=str(tmp_path / "empty"))
    assert not (tmp_path / "run").exists()


def test_a_broken_scenario_stops_before_anything_is_made(tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "scenario.sumocfg").write_text("<configuration><input></configuration>")
    with pytest.raises(ScenarioError, match="not well-formed"):
        train_tiny(tmp_path / "run", dataset_dir=str(tmp_path / "broken"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"total_timesteps": 0},
        {"n_workers": -1},
        {"imitation_timesteps": -5},
        {"v2v": "telepathy"},
        {"hazard_probability": 1.5},
        {"episode_steps": 0},
        {"algorithm": "dreamer"},
        {"schedule": "steep"},
        {"sampler": "plr", "algorithm": "sac"},
        {"preset": "weekend"},
        {"checkpoint_interval": 0},
        {"eval_interval": -1},
        {"learning_rate": 0.0},
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"stopped_share": 0.7, "cut_in_share": 0.6},
        {"penetration": 2.0},
        {"gamma": 1.5},
        {"gamma": float("nan")},
        {"gae_lambda": 2.0},
        {"clip_range": -0.2},
        {"learning_rate": float("inf")},
        {"entropy_weight": float("nan")},
        {"log_std_init": float("nan")},
        {"jerk_weight": float("nan")},
        {"early_braking_weight": float("inf")},
        {"n_workers": 100_000},
        {"n_workers": True},
        {"seed": 2**32},
        {"total_timesteps": 1.5},
        {"gamma": "0.9 or so"},
        {"hazard_deceleration_min_mps2": float("nan")},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_at_once(wrong):
    with pytest.raises(InputError, match="Expected"):
        TrainConfig(**wrong)


def test_a_preset_takes_the_place_of_defaults_and_other_values_win():
    config = TrainConfig(preset="overnight", net_width=48)
    assert config.total_timesteps == PRESETS["overnight"]["total_timesteps"] > TrainConfig().total_timesteps
    assert config.net_width == 48
    assert TrainConfig(**dataclasses.asdict(config)) == config


def test_a_value_that_equals_the_default_wins_over_the_preset_too(tmp_path):
    given = {"preset": "overnight", "total_timesteps": TrainConfig().total_timesteps}
    words = [f"--{name}={value}" for name, value in given.items()]
    parsed = parse_options(TrainConfig, "roadsense train", [*words, "--no-v2v-randomised"])
    for config in (TrainConfig(**given), parsed):
        assert config.total_timesteps == TrainConfig().total_timesteps
        assert config.n_units == PRESETS["overnight"]["n_units"]
    assert config.given == {*given, "v2v_randomised"}
    saved = dataclasses.asdict(config)
    assert restore_config(saved, tmp_path, TrainConfig(resume=str(tmp_path))).total_timesteps == 1_600_000


def test_a_resumed_run_refuses_a_setting_that_equals_the_default(tmp_path):
    saved = dataclasses.asdict(TrainConfig(total_timesteps=5))
    asked = parse_options(TrainConfig, "roadsense train", ["--resume", str(tmp_path), "--total-timesteps", "1600000"])
    with pytest.raises(InputError, match="total_timesteps beside resume"):
        restore_config(saved, tmp_path, asked)


def test_a_saved_policy_opens_without_the_training(run):
    code = (
        "import sys; from stable_baselines3 import PPO; model = PPO.load(sys.argv[1], device='cpu');"
        "print(any(name.startswith('roadsense.training') for name in sys.modules), model.learning_rate)"
    )
    done = subprocess.run([sys.executable, "-c", code, run.model_path], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "0.0003"]
    with zipfile.ZipFile(run.model_path) as archive:
        data = json.loads(archive.read("data"))
    assert (data["learning_rate"], data["lr_schedule"], data["clip_range"]) == (3e-4, 3e-4, 0.2)
    pickles = [base64.b64decode(part[":serialized:"]) for part in data.values() if isinstance(part, dict) and part]
    assert pickles
    assert not [pickle for pickle in pickles if b"roadsense.training" in pickle]


@pytest.mark.parametrize(("schedule", "half_way"), [("linear", 0.55), ("cosine", 0.55), ("constant", 1.0)])
def test_learning_rates_go_by_what_is_left_of_the_whole_training(schedule, half_way):
    config = TrainConfig(schedule=schedule, learning_rate=1.0)
    rates = [learning_rate_at(config, left) for left in (1.0, 0.5, 0.0)]
    assert rates == pytest.approx([1.0, half_way, 1.0 if schedule == "constant" else 0.1])


def test_hazards_and_radios_of_other_cars_reach_the_environment():
    config = TrainConfig(stopped_share=0.3, cut_in_share=0.2, penetration=0.4).env_config()
    assert (config.hazards.stopped_share, config.hazards.cut_in_share, config.penetration) == (0.3, 0.2, 0.4)
    config = TrainConfig(leader_share=0.1, hazard_deceleration_min_mps2=3.5).env_config()
    assert (config.hazards.leader_share, config.hazards.deceleration_min_mps2) == (0.1, 3.5)


def test_weights_of_the_reward_reach_the_environment():
    config = TrainConfig(
        early_braking_weight=0.3,
        needless_braking_weight=-1.0,
        hard_needless_braking_weight=-0.7,
        jerk_weight=-0.5,
        blind_following_weight=-0.2,
    )
    assert config.env_config().weights == RewardWeights(
        early_braking=0.3, needless_braking=-1.0, hard_needless_braking=-0.7, jerk=-0.5, blind_following=-0.2
    )
    assert TrainConfig().env_config().weights == RewardWeights()


@pytest.mark.parametrize("change", [lambda saved: saved.pop("leader_share"), lambda saved: saved.update(colour="red")])
def test_a_run_of_another_version_is_not_gone_on_with(change):
    saved = dataclasses.asdict(TrainConfig())
    assert restore_config(saved, Path("run"), TrainConfig(resume="run")).run_dir == "run"
    change(saved)
    with pytest.raises(InputError, match=r"(leader_share|colour).*Resume it with the version it began with"):
        restore_config(saved, Path("run"), TrainConfig(resume="run"))


def test_a_worker_that_dies_is_noted_and_the_training_goes_on_until_too_many_have(tmp_path):
    run = Run(tmp_path / "run")

    def _kill():
        wait_until(lambda: timesteps_of(run) > 0)
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

    threading.Thread(target=_kill, daemon=True).start()
    train_tiny(run.folder, total_timesteps=5120)
    (death,) = (json.loads(line) for line in run.deaths_path.read_text().splitlines())
    assert "SIGKILL" in death["reason"]
    assert "roadsense.replay" in death["command"]
    run = Run(tmp_path / "strict")
    threading.Thread(target=_kill, daemon=True).start()
    with pytest.raises(SimulationError, match="at most 0 dead workers"):
        train_tiny(run.folder, total_timesteps=1_000_000, max_deaths=0)
    assert run.read_state().name == "failed"
    assert "dead workers" in run.read_state().reason


def test_several_seeds_are_one_experiment_that_can_be_resumed(tmp_path):
    config = TrainConfig(run_dir=str(tmp_path / "all"), seeds=(3, 4), **{**TINY, "total_timesteps": 128})
    runs = train_seeds(config)
    assert [run.folder.name for run in runs] == ["seed_3", "seed_4"]
    assert [run.read_config()["seed"] for run in runs] == [3, 4]
    assert sorted(set(read_seeds(tmp_path / "all")["seed"])) == [3, 4]
    before = runs[0].model_path.read_bytes()
    shutil.rmtree(runs[1].folder)
    assert main(["train", "--resume", str(tmp_path / "all")]) == 0
    assert runs[1].model_path.is_file()
    assert runs[0].model_path.read_bytes() == before
    with pytest.raises(RunError, match="holds something"):
        train_seeds(config)


def test_the_command_takes_underscores_and_hyphens_and_ends_with_the_right_code(tmp_path, capsys):
    arguments = [f"--{name}={value}" for name, value in TINY.items()]
    assert main(["train", *arguments, "--run-dir", str(tmp_path / "run"), "--imitation-timesteps", "0"]) == 0
    assert "model.zip" in capsys.readouterr().out
    assert main(["train", "--dataset_dir", str(tmp_path / "nowhere")]) == 2
    assert "error: Expected a folder of scenarios" in capsys.readouterr().err


def test_training_never_loads_tensorflow():
    code = "import sys, roadsense.train_convoy; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
