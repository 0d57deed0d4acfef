"""One real policy, trained on a small dataset and exported by the command; the tests look at what it left."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from roadsense.policies.models import load_model
from tests.small_training import train_tiny

N_OBSERVATIONS = 600
ONNX = find_spec("onnxruntime") is not None
FORMATS = ["--formats", "tflite", "c", *(["onnx"] if ONNX else [])]
OPTIONS = {
    "n_observations": N_OBSERVATIONS,
    "n_calibration": 300,
    "episodes_per_scenario": 3,
    "workers": 2,
    "seed": 3,
    # A policy that has hardly learned has large weights nowhere; these bounds are tighter than the defaults.
    "int8_rms": 0.03,
}


@dataclass(frozen=True)
class Exported:
    """A finished export: the run, its model, what the command printed, and the card."""

    run_dir: Path
    model: Any
    out: str
    err: str
    card: dict[str, Any]

    @property
    def folder(self) -> Path:
        return self.run_dir / "export"


@pytest.fixture(scope="session")
def trained_run(small_dataset, tmp_path_factory):
    """A run that imitated the rule for a while: it brakes."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train_tiny(folder, dataset_dir=str(small_dataset.folder / "train"), imitation_timesteps=4000, episode_steps=400)
    return folder


@pytest.fixture(scope="session")
def exported(trained_run):
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    command = [sys.executable, "-m", "roadsense.export", "--run_dir", str(trained_run), *options, *FORMATS]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    card = json.loads((trained_run / "export" / "model_card.json").read_text())
    return Exported(trained_run, load_model(trained_run / "model.zip"), done.stdout, done.stderr, card)
