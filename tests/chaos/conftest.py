"""A small workspace with a dataset, a trained run and an evaluation of it, and commands that are started in it."""

import contextlib
import functools
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadsense.scenarios.dataset import Dataset
from roadsense.utils.worker_processes import end_with_program
from tests.chaos.commands import IN_A_RUN, SAMPLE, words_of
from tests.chaos.program import DIES_AT
from tests.chaos.table import ENDS, FAULTS, LONG, TABLE, WENT_ON
from tests.jobs.small_notebooks import ROOT, write_notebook
from tests.small_training import train_tiny

ROUNDS = int(os.environ.get("ROADSENSE_CHAOS") or 0)
"""Set by `make chaos`: how often what is random is tried; 0 for the short form."""
MARK = "ROADSENSE_CHAOS_PLACE"
"""Environment variable of every program that is started here, and so of all that it starts."""
STEPS = "import time\nfor n in range(n_steps):\n    print('step', n, flush=True)\n    time.sleep(0.2)"
"""What the notebook of a job does."""


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

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def start(self, words: list[str], folder: Path, limit_bytes: int = 0, dies_at: str = "") -> subprocess.Popen[str]:
        """Starts a command in a folder, as a program with a process group of its own, which ends with the tests.

        It heeds signals that `nohup` or a shell's `&` let us ignore, may write no file of more than `limit_bytes`, and
        is killed when a file or folder that fits `dies_at` has got its name.
        """

        def prepare() -> None:
            end_with_program()
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            if limit_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        return subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.program", *words], cwd=folder, preexec_fn=prepare, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
            env={**os.environ, MARK: str(self.folder), "PYTHONPATH": str(ROOT), DIES_AT: dies_at},
        )  # fmt: skip

    def still_running(self) -> list[int]:
        """Returns the processes that were started here, at whatever remove, and still run."""
        mark, found = f"{MARK}={self.folder}\0".encode(), []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def kill_all(self) -> None:
        """Kills the processes that were started here, and those that they start meanwhile, until none is left."""
        while left := self.still_running():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def target(self, command: str, parent: Path) -> Path:
        """Returns a new target in a folder: for commands that work in a run a copy of the trained one."""
        parent.mkdir(parents=True, exist_ok=True)
        folder = parent / "target"
        return shutil.copytree(self.run, folder) if command in IN_A_RUN else folder


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_bases: Path, small_dataset: Dataset) -> Place:
    folder = tmp_path_factory.mktemp("chaos")
    shutil.copytree(small_dataset.folder, folder / "dataset")
    train_tiny(folder / "run", dataset_dir=str(folder / "dataset" / "train"), total_timesteps=64, eval_interval=0)
    shutil.copytree(SAMPLE, folder / "log")
    write_notebook(folder, STEPS)
    shutil.make_archive(str(folder / "scenarios"), "zip", folder / "dataset" / "train")
    return Place(folder, tiny_bases)


@dataclass(frozen=True)
class Undisturbed:
    """A command that nothing disturbed: what it wrote, and how long it took."""

    target: Path
    seconds: float


@pytest.fixture(scope="session")
def undisturbed(place: Place):
    """Returns for a command how it goes when nothing disturbs it; each is run once."""

    @functools.cache
    def run(command: str) -> Undisturbed:
        target, begin_s = place.target(command, place.folder / f"undisturbed_{command}"), time.monotonic()
        process = place.start(words_of(command, place, target), target.parent)
        _, said = process.communicate()
        assert process.returncode == 0, said
        return Undisturbed(target, time.monotonic() - begin_s)

    return run


@pytest.fixture
def alone(place: Place):
    """Fails a test that leaves a process running, and ends it."""
    yield
    end_s = time.monotonic() + 20
    while (left := place.still_running()) and time.monotonic() < end_s:
        time.sleep(0.1)
    place.kill_all()
    assert not left


def skip_long(form: str) -> None:
    """Skips a cell of the long form in the short one."""
    if form == LONG and not ROUNDS:
        pytest.skip("of the long form: make chaos")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table of `make chaos`: how the tries of each command with each fault ended."""
    if not ROUNDS:
        return
    found: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    stats = terminalreporter.stats
    bad = {report.nodeid for outcome in ("failed", "error") for report in stats.get(outcome, [])}
    for report in [*stats.get("passed", []), *stats.get("failed", []), *stats.get("error", [])]:
        fault = next((name for name, test in FAULTS.items() if f"::{test}[" in report.nodeid), None)
        command = next((name for name in sorted(TABLE, key=len) if f"[{name}-" in report.nodeid), None)
        if fault and command and report.when == "call":
            usual = {ENDS.get(fault, WENT_ON): 1}
            ends = {"lost": 1} if report.nodeid in bad else dict(report.user_properties).get("ends", usual)
            found[command, fault].update(ends)
    terminalreporter.section(f"how the tries ended, {ROUNDS} rounds")
    terminalreporter.write_line(f"| command | {' | '.join(FAULTS)} |\n|{'---|' * (len(FAULTS) + 1)}")
    for command in TABLE:
        cells = [", ".join(f"{n} {end}" for end, n in sorted(found[command, fault].items())) for fault in FAULTS]
        if any(cells):
            terminalreporter.write_line(f"| `{command}` | {' | '.join(cells)} |")
