"""The state file of a running job: it is updated regularly and shows when the job was last alive."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from roadsense.errors import RunError
from roadsense.runs.experiment import is_experiment, list_run_folders, list_seed_folders
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.runs.run import Run
from roadsense.utils.files import read_json, reading, write_atomically
from roadsense.utils.times import say_now

BEAT_EVERY_S = 10.0


@dataclass(frozen=True)
class JobBeat:
    """The state of a running or ended job.

    Attributes:
        state: `running`, `done`, `failed` or `stopped`, as in `JobState`.
        reason: why it failed or stopped.
        at: date and time of this record, UTC, ISO 8601.
        started: date and time when this start of the job began, UTC, ISO 8601.
        timesteps: number of environment steps trained so far; None if it trains nothing.
        of_timesteps: number of environment steps in the whole training; None if it trains nothing.
    """

    state: str
    reason: str = ""
    at: str = ""
    started: str = ""
    timesteps: int | None = None
    of_timesteps: int | None = None

    def tell_progress(self) -> str:
        """Returns the state and the progress, in words."""
        wanted = "" if self.of_timesteps is None else f" of {self.of_timesteps}"
        steps = "" if self.timesteps is None else f", {self.timesteps}{wanted} steps"
        return f"{self.state}{steps}"


class Heartbeat:
    """Writes a job's state, every ten seconds while it runs and once when it has ended.

    Args:
        path: path of the state file.

    Attributes:
        run_dir: run folder of its training, which may not exist yet; None without a training.
    """

    def __init__(self, path: Path):
        self.run_dir: Path | None = None
        self._path = path
        self._started, self._next_s = say_now(), 0.0

    def beat(self) -> None:
        """Writes that the job is running, if ten seconds have passed."""
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + BEAT_EVERY_S
            self.write("running")

    def write(self, state: str, reason: str = "") -> None:
        """Writes a state at once."""
        done, wanted = read_progress(self.run_dir)
        beat = JobBeat(state, reason, say_now(), self._started, done, wanted)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps(asdict(beat), indent=2) + "\n")


def read_beat(path: Path) -> JobBeat | None:
    """Returns the last state a job wrote; None if it has written none."""
    if not path.is_file():
        return None
    with reading(path, "the state of a job"):
        return JobBeat(**read_json(path, "the state of a job", state=str))


def read_progress(run_dir: Path | None) -> tuple[int | None, int | None]:
    """Returns the numbers of trained and of all environment steps of a training; for an experiment, over all seeds.

    They are None before it has begun, and where its files cannot be read: that must not end the job.
    """
    try:
        begun = list_run_folders(run_dir) if run_dir is not None else []
        if run_dir is None or not begun:
            return None, None
        n_seeds = len(list_seed_folders(run_dir)) if is_experiment(run_dir) else 1
        return sum(map(_count_timesteps, begun)), Run(begun[0]).read_total_timesteps() * n_seeds
    except RunError:
        return None, None


def _count_timesteps(run_dir: Path) -> int:
    lines = read_metric_lines(run_dir / "metrics.jsonl")
    return lines[-1].get("timesteps", 0) if lines else 0
