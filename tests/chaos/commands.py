"""What is done with each command: its words, when it has begun, and whether its result is the undisturbed one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from stable_baselines3 import PPO

from roadsense.jobs.target import JobState, open_target
from roadsense.runs.run import Run
from roadsense.runs.state import TRAINED
from roadsense.scenarios.dataset import Dataset
from tests.jobs.small_notebooks import ROOT
from tests.small_training import assert_same_weights

if TYPE_CHECKING:
    from tests.chaos.conftest import Place

SAMPLE = ROOT / "drives" / "sample"
NOTEBOOK_STEPS = 4
IN_A_RUN = ("evaluate", "export", "benchmark")
"""Commands whose target is a trained run."""
TRAINING = {
    "total_timesteps": 768,
    "imitation_timesteps": 0,
    "n_workers": 1,
    "rollout_steps": 32,
    "batch_size": 32,
    "n_epochs": 1,
    "episode_steps": 40,
    "checkpoint_interval": 64,
    "eval_interval": 0,
}
EVALUATION = {
    "episodes_per_scenario": 1,
    "n_steps": 60,
    "curve_episodes": 0,
    "surroundings_episodes": 0,
    "split_episodes": 0,
    "gallery_size": 0,
    "workers": 1,
}
EXPORT = {"n_observations": 200, "n_calibration": 200, "episodes_per_scenario": 1, "workers": 1}
SEARCH = {
    "n_trials": 1, "total_timesteps": 64, "imitation_timesteps": 0, "n_evaluations": 1, "eval_episodes": 2,
    "n_workers": 1,
}  # fmt: skip


def options(**values: object) -> list[str]:
    """Returns the words of a command line."""
    return [f"--{name}={value}" for name, value in values.items()]


def words_of(command: str, place: "Place", target: Path, **training: object) -> list[str]:
    """Returns the command line of a command that writes to a target; `training` changes that of `train`."""
    train, held_out = place.dataset / "train", place.dataset / "eval"
    words = {
        "gen-scenarios": options(base_dir=place.bases, output_dir=target, n_train=4, n_eval=2),
        "train": options(dataset_dir=train, run_dir=target, **TRAINING | training),
        "evaluate": [*options(run_dir=target, dataset_dir=held_out, **EVALUATION), "--no-checks_column"],
        "benchmark": [str(target), "--workers=1"],
        "export": [*options(run_dir=target, **EXPORT), "--no-int8"],
        "enjoy": [str(place.run), *options(scenario=held_out, html=target / "episode.html", episode_steps=60)],
        "search": options(search_dir=target, dataset_dir=place.dataset, **SEARCH),
        "unpack": [str(place.folder / "scenarios.zip"), str(target)],
        "drive": ["judge", str(place.log), *options(policy="cautious_rule", output=target)],
        "job": ["submit", str(place.folder / "small.ipynb"), *options(name=target.name, output=target.parent),
                "-p", "n_steps", str(NOTEBOOK_STEPS), "--follow"],
        "verify": [str(place.dataset)],
    }[command]  # fmt: skip
    return [command, *words]


def words_again(command: str, place: "Place", target: Path) -> list[str]:
    """Returns the command line that goes on with what a killed command has left."""
    if command == "train" and Run(target).manifest_path.exists():
        return ["train", f"--resume={target}"]
    if command == "job" and (target / "spec.json").is_file():
        state = open_target("local").status(str(target)).state
        if state in (JobState.RUNNING, JobState.DONE):
            return ["job", "logs", target.name, "--follow"]
    return words_of(command, place, target)


def is_begun(command: str, target: Path) -> bool:
    """Returns whether a command has done a part of its work."""
    found = target.parent.glob(BEGUN[command].format(target.name))
    return any(path.is_dir() or (path.is_file() and path.stat().st_size) for path in found)


BEGUN = {
    "gen-scenarios": ".{}*/**/*.sumocfg",
    "train": "{}/checkpoints/*.pt",
    "evaluate": "{}/.episodes_*",
    "benchmark": "{}/.episodes_*",
    "export": "{}/.export.*",
    "enjoy": "{}",
    "search": "{}/trial_000/config.json",
    "unpack": ".{}_*",
    "drive": ".{}_*",
    "job": "{}/output/data/*.ipynb",
}
"""What lies in a target's folder when a command has begun, by its command."""


NAMED = {
    "gen-scenarios": "target",
    "train": "model.zip",
    "evaluate": "evaluation",
    "benchmark": "benchmark_*.json",
    "export": "export",
    "enjoy": "episode.html",
    "unpack": "target",
    "drive": "target",
}
"""Name of what a command has made when it is almost at its end."""


def is_done(command: str, target: Path) -> bool:
    """Returns whether a command that was killed had made all its results, so that the same command refuses them."""
    if command == "train":
        return Run(target).read_state().name == TRAINED
    return (target if command in ("unpack", "drive") else target / "episode.html").exists()


def check_dataset(target: Path, expected: Path) -> None:
    assert Dataset.open(target).verify() == []
    assert Dataset.open(target).digest == Dataset.open(expected).digest


def check_weights(target: Path, expected: Path) -> None:
    assert_same_weights(Run(target), Run(expected), PPO)


def check_evaluation(target: Path, expected: Path) -> None:
    tables = [pd.read_parquet(folder / "evaluation" / "episodes.parquet") for folder in (target, expected)]
    pd.testing.assert_frame_equal(*tables)


def check_search(target: Path, expected: Path) -> None:
    del expected  # Optuna's notes hold dates
    assert Run(target / "trial_000").read_state().name == TRAINED


def check_job(target: Path, expected: Path) -> None:
    said = [(folder / "run.log").read_text().splitlines() for folder in (target, expected)]
    assert all(f"step {NOTEBOOK_STEPS - 1}" in lines for lines in said)
    assert open_target("local").status(str(target)).state == JobState.DONE


def check_benchmark(target: Path, expected: Path) -> None:
    (found,), (wanted,) = (list(folder.glob("benchmark_*.json")) for folder in (target, expected))
    assert json.loads(found.read_text())["rows"] == json.loads(wanted.read_text())["rows"]


def check_files(pattern: str) -> Callable[[Path, Path], None]:
    """Returns a check that files have the same names and bytes."""

    def check(target: Path, expected: Path) -> None:
        found, wanted = (
            {path.relative_to(folder): path.read_bytes() for path in folder.glob(pattern) if path.is_file()}
            for folder in (target, expected)
        )
        assert found.keys() == wanted.keys() != set()
        assert [name for name in wanted if found[name] != wanted[name]] == []

    return check


CHECKS: dict[str, Callable[[Path, Path], None]] = {
    "gen-scenarios": check_dataset,
    "train": check_weights,
    "evaluate": check_evaluation,
    "benchmark": check_benchmark,
    "export": check_files("export/policy.tflite"),
    "enjoy": check_files("episode.html"),
    "search": check_search,
    "unpack": check_files("**/*"),
    "drive": check_files("**/*"),
    "job": check_job,
}


def check_done(command: str, target: Path, expected: Path) -> None:
    """Checks that the result is the one that nothing disturbed."""
    CHECKS[command](target, expected)


def check_nothing_left(target: Path) -> None:
    """Checks that nothing half done is left beside a result."""
    patterns = (".export.*", ".evaluation.*", ".episodes_*", ".*.part")
    left = [*target.parent.glob(f".{target.name}[._]*"), *(path for one in patterns for path in target.glob(one))]
    assert [path for path in left if path.suffix != ".lock"] == []
