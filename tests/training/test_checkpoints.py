"""Resume: a training that was broken off, in any way, ends as one that never was."""

import os
import random
import signal
from pathlib import Path

import pytest
import torch
from sb3_contrib import TQC
from stable_baselines3 import PPO, SAC

from roadsense.errors import DatasetError, InputError, RunError
from roadsense.runs.progress import ask_for_checkpoint, read_progress
from roadsense.runs.run import Run
from roadsense.train_convoy import TrainConfig, train_policy
from roadsense.training.checkpoints import PARTS, read_newest_checkpoint, write_checkpoint
from tests.small_training import (
    BASE_DIR,
    assert_same_weights,
    start_again,
    start_tiny,
    stop_tiny,
    timesteps_of,
    train_tiny,
    wait_until,
)

KINDS = {"ppo": PPO, "sac": SAC, "tqc": TQC}
LONG = {"total_timesteps": 4096, "checkpoint_interval": 512, "imitation_timesteps": 64}
OFF_POLICY = {"learning_starts": 64, "buffer_size": 200, "checkpoint_interval": 100, "total_timesteps": 300}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("unbroken") / "run", **LONG)


def test_ctrl_c_at_any_step_leaves_a_marked_run_that_ends_as_an_unbroken_one(unbroken, tmp_path):
    run = stop_tiny(tmp_path / "run", 600, signal.SIGINT, **LONG)
    assert run.read_state().name == "stopped"
    assert 512 < read_newest_checkpoint(run.checkpoint_dir)["timesteps"] < 4096
    train_policy(TrainConfig(resume=str(run.folder)))
    assert run.read_state().name == "trained"
    assert_same_weights(unbroken, run, PPO)
    assert run.read_metrics()["timesteps"].is_monotonic_increasing
    assert run.read_metrics()["reward_mean"].iloc[-1] == unbroken.read_metrics()["reward_mean"].iloc[-1]


def test_a_killed_program_loses_at_most_an_interval_and_one_that_is_stopped_says_how_to_go_on(unbroken, tmp_path):
    process, run = start_tiny(tmp_path / "run", **LONG), Run(tmp_path / "run")
    wait_until(lambda: timesteps_of(run) >= 600, process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert (run.read_state().name, run.read_state().reason) == ("failed", "its process died")
    reached = timesteps_of(run)
    assert reached - read_newest_checkpoint(run.checkpoint_dir)["timesteps"] <= 512 + 64
    process = start_again(run.folder)
    wait_until(lambda: run.read_state().name == "running" and timesteps_of(run) > reached, process)
    with pytest.raises(RunError, match="is running"):
        train_policy(TrainConfig(resume=str(run.folder)))
    process.send_signal(signal.SIGTERM)
    _, words = process.communicate(timeout=20)
    assert process.returncode == 143
    assert f"--resume {run.folder}" in words
    train_policy(TrainConfig(resume=str(run.folder)))
    assert_same_weights(unbroken, run, PPO)


def test_a_stop_does_not_wait_for_a_worker_that_is_stuck(unbroken, tmp_path):
    run = Run(tmp_path / "broken")
    process = start_tiny(run.folder, **LONG)
    wait_until(lambda: timesteps_of(run) > 0, process)
    worker = next(grandchild for child in children(process.pid) for grandchild in children(child))
    os.kill(worker, signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert (process.returncode, run.read_state().name) == (143, "stopped")
    train_policy(TrainConfig(resume=str(run.folder)))
    assert_same_weights(unbroken, run, PPO)


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("algorithm", ["sac", "tqc"])
def test_off_policy_runs_resume_with_their_memory(tmp_path, algorithm):
    changes = {**OFF_POLICY, "algorithm": algorithm}
    whole = train_tiny(tmp_path / "whole", **changes)
    run = stop_tiny(tmp_path / "broken", 150, **changes)
    train_policy(TrainConfig(resume=str(run.folder)))
    assert_same_weights(whole, run, KINDS[algorithm])


def test_plr_goes_on_with_its_scores(tmp_path):
    changes = {"sampler": "plr", "dataset_dir": str(BASE_DIR), "episode_steps": 10, "total_timesteps": 1024}
    whole = train_tiny(tmp_path / "whole", **changes)
    run = stop_tiny(tmp_path / "broken", 320, **changes)
    train_policy(TrainConfig(resume=str(run.folder)))
    assert_same_weights(whole, run, PPO)
    ours, theirs = (read_newest_checkpoint(each.checkpoint_dir)["parts"]["sampler"] for each in (run, whole))
    assert ours == theirs
    assert ours["n_episodes"] > 20


def test_a_stop_file_does_what_a_signal_does(tmp_path):
    run = stop_tiny(tmp_path / "run", 600, "stop file", **LONG | {"total_timesteps": 100_000})
    assert run.read_state().name == "stopped"
    assert "stop file" in run.read_state().reason
    assert read_newest_checkpoint(run.checkpoint_dir)["timesteps"] >= 512


def test_a_checkpoint_that_is_asked_for_changes_nothing_and_can_be_gone_on_from(unbroken, tmp_path):
    process, run = start_tiny(tmp_path / "run", **LONG), Run(tmp_path / "run")
    wait_until(lambda: timesteps_of(run) >= 600, process)
    ask_for_checkpoint(run)
    wait_until(lambda: not read_progress(run, run.read_metrics()).is_checkpoint_wanted, process)
    kept = read_newest_checkpoint(run.checkpoint_dir)
    process.kill()
    process.wait()
    assert 512 < kept["timesteps"]
    train_policy(TrainConfig(resume=str(run.folder)))
    assert_same_weights(unbroken, run, PPO)


@pytest.mark.parametrize("how", [signal.SIGTERM, "stop file"])
def test_a_stop_during_the_head_start_leaves_nothing_to_resume_from(how, tmp_path):
    run = stop_tiny(tmp_path / "run", 0, how, imitation_timesteps=1_000_000)
    assert run.read_state().name == "stopped"
    assert not run.checkpoint_dir.exists()


def test_a_resumed_run_keeps_its_settings_and_its_scenarios(tmp_path):
    run = stop_tiny(tmp_path / "run", 64, total_timesteps=100_000)
    with pytest.raises(InputError, match="learning_rate"):
        train_policy(TrainConfig(resume=str(run.folder), learning_rate=1e-3))
    with pytest.raises(InputError, match="allow_other_dataset"):
        train_policy(TrainConfig(resume=str(run.folder), dataset_dir=str(BASE_DIR / "rural_curve")))
    config = run.read_config()
    run.config_path.write_text(run.config_path.read_text().replace("highway_fast", "rural_curve"))
    with pytest.raises(DatasetError, match="digest"):
        train_policy(TrainConfig(resume=str(run.folder)))
    run.config_path.write_text(run.config_path.read_text().replace("100000", str(timesteps_of(run) + 64)))
    train_policy(TrainConfig(resume=str(run.folder), allow_other_dataset=True))
    assert config["dataset_dir"].endswith("highway_fast")
    with pytest.raises(RunError, match="trained to its end"):
        train_policy(TrainConfig(resume=str(run.folder)))


def test_a_damaged_checkpoint_is_passed_over_with_a_warning_and_two_are_kept(tmp_path, capsys):
    for timesteps in (100, 200, 300):
        write_checkpoint(tmp_path, {**dict.fromkeys(PARTS, 0), "timesteps": timesteps, "weights": torch.arange(1000.0)})
    paths = sorted(tmp_path.iterdir())
    assert [path.name[-6:-3] for path in paths] == ["200", "300"]
    content = bytearray(paths[-1].read_bytes())
    content[len(content) // 2] ^= 1
    paths[-1].write_bytes(content)
    assert read_newest_checkpoint(tmp_path)["timesteps"] == 200
    assert f"WARNING: {paths[-1]} is damaged" in capsys.readouterr().err
    paths[0].write_bytes(paths[0].read_bytes()[:500])
    with pytest.raises(RunError, match="only damaged ones"):
        read_newest_checkpoint(tmp_path)


def test_wherever_a_checkpoint_is_damaged_the_one_before_is_used(tmp_path):
    for timesteps in (1, 2):
        write_checkpoint(tmp_path, {**dict.fromkeys(PARTS, 0), "timesteps": timesteps, "weights": torch.arange(3.0)})
    newest = max(tmp_path.iterdir())
    content = newest.read_bytes()
    for place in range(0, len(content), 3):
        newest.write_bytes(content[:place] + bytes([content[place] ^ 136]) + content[place + 1 :])
        assert read_newest_checkpoint(tmp_path)["timesteps"] in (1, 2)  # some bytes mean nothing


def test_a_checkpoint_runs_no_code_of_its_file(tmp_path):
    torch.save({"timesteps": 1, "format": 1, "evil": random.Random}, tmp_path / "checkpoint_000000000001.pt")
    with pytest.raises(RunError, match="only damaged ones"):
        read_newest_checkpoint(tmp_path)


def test_a_run_without_any_checkpoint_says_so(tmp_path):
    with pytest.raises(RunError, match="found none"):
        read_newest_checkpoint(tmp_path)
