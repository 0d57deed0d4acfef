"""Runs all four notebooks once, small: base roads -> dataset -> policy -> evaluation -> TFLite."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.errors import InputError, RunError
from roadsense.jobs.runner import run_notebook
from roadsense.runs.run import open_run
from roadsense.training.train_config import PRESETS
from roadsense.utils.files import refuse_existing
from roadsense.utils.workspace import find_file, resolve

NOTEBOOKS = ("00_augment", "01_train", "02_evaluate", "03_export")
TOO_SHORT = (
    "The demo's training is too short to beat hand-written rules. For one that can: roadsense train with its defaults, "
    "about ten minutes on two free cores."
)


@dataclass(frozen=True)
class DemoConfig:
    """Settings of the demo; the rest are the notebooks' defaults.

    Attributes:
        run_dir: new folder for all results.
        notebook_dir: folder of the notebooks; if it doesn't exist, those of the package.
        n_train: number of scenarios to train on, at least 1.
        n_eval: number of held-out scenarios, at least 1.
        total_timesteps: number of environment steps to train, at least 1; no more than these are imitated.
        episodes_per_scenario: number of held-out episodes per scenario and policy, at least 1.
        seed: seed of all random draws.
    """

    run_dir: str = "runs/demo"
    notebook_dir: str = "notebooks"
    n_train: int = 20
    n_eval: int = 10
    total_timesteps: int = 400_000
    episodes_per_scenario: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("n_train", "n_eval", "total_timesteps", "episodes_per_scenario"):
            if getattr(self, name) < 1:
                raise InputError(f"Expected {name} of at least 1, got {getattr(self, name)}.")


def run_demo(config: DemoConfig) -> Path:
    """Runs the four notebooks, small, in one new folder, prints where the results are, and returns the folder.

    Raises:
        RunError: if the folder is not empty.
        InputError: if a notebook is missing.
        NotebookError: if a cell fails; its executed copy is kept.
    """
    folder = resolve(config.run_dir)
    refuse_existing(folder, "the demo", RunError)
    started_s = time.monotonic()
    _say(TOO_SHORT)
    for number, name in enumerate(NOTEBOOKS, start=1):
        _say(f"\n[{number}/{len(NOTEBOOKS)}] {name}, {time.monotonic() - started_s:.0f} s after the start")
        source = find_file(Path(config.notebook_dir) / f"{name}.ipynb")
        run_notebook(source, folder / "notebooks" / f"{name}.ipynb", _parameters(config, folder)[name])
    _report(folder, time.monotonic() - started_s)
    return folder


def _parameters(config: DemoConfig, folder: Path) -> dict[str, dict[str, Any]]:
    dataset, run = folder / "dataset", str(folder / "run")
    return {
        "00_augment": {
            "output_dir": str(dataset),
            "n_train": config.n_train,
            "n_eval": config.n_eval,
            "seed": config.seed,
        },
        "01_train": {
            "dataset_dir": str(dataset / "train"),
            "run_dir": run,
            "total_timesteps": config.total_timesteps,
            "imitation_timesteps": min(config.total_timesteps, PRESETS["quick"]["imitation_timesteps"]),
            "seed": config.seed,
        },
        "02_evaluate": {
            "dataset_dir": str(dataset / "eval"),
            "run_dir": run,
            "episodes_per_scenario": config.episodes_per_scenario,
            "checks_column": False,
            "split_episodes": 2 * config.episodes_per_scenario,
            "curve_episodes": config.episodes_per_scenario,
            "surroundings_episodes": config.episodes_per_scenario // 5,
            "seed": config.seed,
        },
        "03_export": {
            "eval_dir": str(dataset / "eval"),
            "run_dir": run,
            "episodes_per_scenario": config.episodes_per_scenario,
            "seed": config.seed,
        },
    }


def _report(folder: Path, seconds: float) -> None:
    run = open_run(folder / "run")
    _say(f"\nDone in {seconds / 60:.1f} min. Look at:")
    for what, path in (
        ("dataset", folder / "dataset"),
        ("policy", run.model_path),
        ("evaluation", run.evaluation_dir),
        ("TFLite", run.export_dir / "policy.tflite"),
        ("executed notebooks", folder / "notebooks"),
    ):
        _say(f"  {what:20}{path}")
    _say(TOO_SHORT)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
