"""Tiny real trainings for the tests: two workers, rollouts of 64 steps."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from roadsense.runs.run import Run
from roadsense.runs.stopping import StoppedError
from roadsense.train_convoy import TrainConfig, train_policy

BASE_DIR = Path(__file__).parents[1] / "scenarios" / "base"
STOP_FILE = "stop file"
TINY = {
    "dataset_dir": str(BASE_DIR / "highway_fast"),
    "total_timesteps": 512,
    "imitation_timesteps": 0,
    "n_workers": 2,
    "rollout_steps": 32,
    "batch_size": 32,
    "n_epochs": 1,
    "episode_steps": 40,
    "log_interval": 1,
    "checkpoint_interval": 256,
}


def train_tiny(folder, **changes):
    return train_policy(TrainConfig(run_dir=str(folder), **{**TINY, **changes}))


def start_tiny(folder, **changes):
    """Starts a training as a program of its own."""
    options = [f"--{name}={value}" for name, value in {**TINY, **changes, "run_dir": folder}.items()]
    return _start(options)


def start_again(folder):
    """Resumes a training as a program of its own."""
    return _start([f"--resume={folder}"])


def _start(options):
    command = [sys.executable, "-m", "roadsense.train_convoy", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def stop_tiny(folder, at_least, how=signal.SIGTERM, **changes):
    """Trains in this process, which is asked to stop when the training has come so far; returns the stopped run."""
    run = Run(folder)
    sender = threading.Thread(target=_send_when, args=(run, at_least, how), daemon=True)
    sender.start()
    with pytest.raises(StoppedError, match=how if how == STOP_FILE else how.name):
        train_tiny(folder, **changes)
    sender.join()
    return run


def _send_when(run, at_least, how):
    wait_until(lambda: timesteps_of(run) >= at_least and run.read_state().name == "running")
    if how == STOP_FILE:
        while run.read_state().name == "running":  # a training that begins removes an old file
            (run.folder / "stop").touch()
            time.sleep(0.1)
    else:
        os.kill(os.getpid(), how)


def wait_until(happened, process=None, seconds=180.0):
    """Waits for something, not for ever, and not when the process has ended."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        assert process is None or process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def timesteps_of(run):
    table = run.read_metrics()
    return 0 if table.empty else int(table["timesteps"].max())


def assert_same_weights(one, other, kind):
    """Compares every number two runs have learned, the optimiser's included."""
    ours, theirs = (kind.load(run.model_path, device="cpu").get_parameters() for run in (one, other))
    assert_equal(ours, theirs)


def assert_equal(one, other):
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_equal(one[name], other[name])
    elif isinstance(one, list | tuple):
        for mine, yours in zip(one, other, strict=True):
            assert_equal(mine, yours)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other
