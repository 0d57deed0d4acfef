"""A small workspace with a dataset, a trained run and an evaluation of it, and commands that are started in it."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadsense.cli import main
from roadsense.scenarios.dataset import Dataset
from tests.chaos.table import FAULTS, LONG, TABLE
from tests.small_training import train_tiny

IS_LONG = bool(os.environ.get("ROADSENSE_CHAOS"))
"""Set by `make chaos`: everything is tried, and several times."""
TRAINING = {
    "total_timesteps": 100_000,
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


def options(**values: object) -> list[str]:
    """Returns the words of a command line."""
    return [f"--{name}={value}" for name, value in values.items()]


@dataclass(frozen=True)
class Place:
    """A folder with what every command needs.

    Attributes:
        folder: it.
        bases: base scenarios.
    """

    folder: Path
    bases: Path

    @property
    def dataset(self) -> Path:
        return self.folder / "dataset"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def words(self, command: str, target: Path) -> list[str]:
        """Returns the command line of a command that writes to a target."""
        return {
            "gen-scenarios": ["gen-scenarios", *options(base_dir=self.bases, output_dir=target, n_train=4, n_eval=2)],
            "train": ["train", *options(dataset_dir=self.dataset / "train", run_dir=target, **TRAINING)],
            "evaluate": ["evaluate", *options(run_dir=target, dataset_dir=self.dataset / "eval", **EVALUATION),
                         "--no-checks_column"],
            "export": ["export", *options(run_dir=target, n_observations=200, n_calibration=200,
                                          episodes_per_scenario=1, workers=1), "--no-int8"],
            "search": ["search", *options(search_dir=target, dataset_dir=self.dataset, n_trials=1, total_timesteps=64,
                                          imitation_timesteps=0, n_evaluations=1, eval_episodes=2, n_workers=1)],
            "unpack": ["unpack", str(self.folder / "scenarios.zip"), str(target)],
        }[command]  # fmt: skip

    def start(self, command: str, target: Path, **settings: object) -> subprocess.Popen[str]:
        """Starts a command as a program of its own, which heeds signals that `nohup` or a shell's `&` let us ignore."""
        words = [sys.executable, "-m", "roadsense.cli", *self.words(command, target)]
        prepare = settings.pop("preexec_fn", None)

        def heed_signals() -> None:
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            if callable(prepare):
                prepare()

        return subprocess.Popen(  # type: ignore[call-overload]
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed_signals, **settings
        )

    def target(self, command: str, parent: Path) -> Path:
        """Returns a new target in a folder: for commands that work in a run a copy of the trained one."""
        folder = parent / "target"
        return shutil.copytree(self.run, folder) if command in ("evaluate", "export") else folder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_bases: Path, small_dataset: Dataset) -> Place:
    folder = tmp_path_factory.mktemp("chaos")
    shutil.copytree(small_dataset.folder, folder / "dataset")
    train_tiny(folder / "run", dataset_dir=str(folder / "dataset" / "train"), total_timesteps=64, eval_interval=0)
    shutil.make_archive(str(folder / "scenarios"), "zip", folder / "dataset" / "train")
    return Place(folder, tiny_bases)


@pytest.fixture(scope="session")
def evaluated(place: Place) -> Path:
    """The folder of an evaluation that nothing disturbed."""
    target = place.target("evaluate", place.folder / "undisturbed")
    assert main(place.words("evaluate", target)) == 0
    return target / "evaluation"


def skip_long(form: str) -> None:
    """Skips a cell of the long form in the short one."""
    if form == LONG and not IS_LONG:
        pytest.skip("of the long form: make chaos")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of `make chaos`: how each command took each fault."""
    if not IS_LONG:
        return
    ended = {"passed": "ok", "failed": "FAILED", "error": "FAILED"}
    found: dict[tuple[str, str], str] = {}
    for outcome, word in ended.items():
        for report in terminalreporter.stats.get(outcome, []):
            fault = next((name for name, test in FAULTS.items() if f"::{test}[" in report.nodeid), None)
            command = next((name for name in sorted(TABLE, key=len) if f"[{name}-" in report.nodeid), None)
            if fault and command:
                found[command, fault] = word
    terminalreporter.section("commands against faults")
    terminalreporter.write_line(f"{'':15}" + "".join(f"{fault:>15}" for fault in FAULTS))
    for command in TABLE:
        cells = "".join(f"{found.get((command, fault), '-'):>15}" for fault in FAULTS)
        terminalreporter.write_line(f"{command:15}{cells}")
