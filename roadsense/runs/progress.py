"""The progress of a run in a few figures; any process can read it from the folder, during the run and after."""

import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from roadsense.errors import RunError
from roadsense.runs.run import CHECKPOINTS, Run
from roadsense.runs.state import RUNNING, RunState
from roadsense.runs.stopping import CHECKPOINT_NAME, STOP_NAME
from roadsense.utils.files import check_object, reading, write_atomically

PHASE_NAME = "phase.json"
WRITE_EVERY_S = 0.5


@dataclass(frozen=True)
class Phase:
    """A phase of a training.

    Attributes:
        name: name of the phase.
        done: number of finished steps of the phase.
        total: total number of its steps; 0 if it has none.
        began_s: time at which it began [s], Unix time; 0 if that is not known.
    """

    name: str
    done: int = 0
    total: int = 0
    began_s: float = 0.0

    @property
    def share(self) -> float:
        """Finished share of the phase, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


class PhaseWriter:
    """Writes the phases of a training into its run folder, each at once and its progress twice a second.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path):
        self._path, self._written_s = folder / PHASE_NAME, 0.0
        self._phase = Phase("")

    def enter(self, name: str, total: int = 0) -> None:
        """Notes that a phase begins."""
        self._phase = Phase(name, 0, total, time.time())
        self._write()

    def advance(self, done: int) -> None:
        """Notes how many steps of the phase are done."""
        self._phase = replace(self._phase, done=done)
        if time.monotonic() - self._written_s >= WRITE_EVERY_S:
            self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(asdict(self._phase)) + "\n")
        self._written_s = time.monotonic()


def read_phase(folder: Path) -> Phase | None:
    """Returns the newest phase of the run in a folder; None if the run wrote none."""
    path = folder / PHASE_NAME
    if not path.is_file():
        return None
    with reading(path, "the phase of a training", RunError):
        found = check_object(json.loads(path.read_bytes()), name=str, done=int, total=int)
        return Phase(**found | {"began_s": float(found.get("began_s", 0.0))})


PRICE_VARIABLE = "ROADSENSE_JOB_USD_PER_HOUR"
"""Environment variable with the price of a job's machine, US dollars an hour."""

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class RunProgress:
    """The progress of a run.

    Attributes:
        state: state of the run.
        timesteps: number of environment steps it has learned from so far.
        total: number of environment steps of the whole training.
        latest: newest value of each figure of its metrics, by name; figures without a value are missing.
        checkpoint_timesteps: number of environment steps at its newest checkpoint; None without one.
        is_checkpoint_wanted: whether a checkpoint is requested and not written yet.
        is_stop_wanted: whether a stop is requested.
        usd: cost of its machine so far, US dollars; None if nothing is billed.
        phase: current phase of the training; None if it wrote none.
    """

    state: RunState
    timesteps: int
    total: int
    latest: dict[str, float]
    checkpoint_timesteps: int | None
    is_checkpoint_wanted: bool
    is_stop_wanted: bool
    usd: float | None
    phase: Phase | None = None

    @property
    def share(self) -> float:
        """Finished share of the training, 0 to 1; before its first rollout, the finished share of the phase."""
        if self.is_running and not self.timesteps and self.phase:
            return self.phase.share
        return min(self.timesteps / self.total, 1.0) if self.total else 0.0

    @property
    def is_running(self) -> bool:
        """Whether a process trains it now."""
        return self.state.name == RUNNING


def read_progress(run: Run, metrics: pd.DataFrame, usd_per_hour: float | None = None) -> RunProgress:
    """Returns the progress of a run.

    Args:
        run: run to describe.
        metrics: table of `run.read_metrics`.
        usd_per_hour: price of its machine, US dollars an hour; None for the value of `PRICE_VARIABLE`.
    """
    latest = {str(name): _newest(metrics[name]) for name in metrics}
    latest = {name: value for name, value in latest.items() if not math.isnan(value)}
    price = usd_per_hour if usd_per_hour is not None else _price_here()
    elapsed_s = latest.get("elapsed_s", 0.0)
    return RunProgress(
        state=run.read_state(),
        timesteps=int(metrics["timesteps"].max()) if len(metrics) else 0,
        total=run.read_total_timesteps(),
        latest=latest,
        checkpoint_timesteps=_newest_checkpoint(run.checkpoint_dir),
        is_checkpoint_wanted=(run.folder / CHECKPOINT_NAME).exists(),
        is_stop_wanted=(run.folder / STOP_NAME).exists(),
        usd=None if price is None else price * elapsed_s / SECONDS_PER_HOUR,
        phase=read_phase(run.folder),
    )


def ask_for_checkpoint(run: Run) -> None:
    """Requests a checkpoint at the next rollout; the training continues unchanged."""
    (run.folder / CHECKPOINT_NAME).touch()


def ask_to_stop(run: Run) -> None:
    """Requests a stop; the training writes a checkpoint and can be resumed."""
    (run.folder / STOP_NAME).touch()


def _newest(column: pd.Series) -> float:
    known = pd.to_numeric(column, errors="coerce").dropna()
    return float(known.iloc[-1]) if len(known) else math.nan


def _newest_checkpoint(folder: Path) -> int | None:
    names = sorted(path.stem for path in folder.glob(CHECKPOINTS))
    return int(names[-1].rpartition("_")[2]) if names else None


def _price_here() -> float | None:
    try:
        return float(os.environ[PRICE_VARIABLE])
    except (KeyError, ValueError):
        return None


def describe_progress(progress: RunProgress) -> list[tuple[str, str]]:
    """Returns the progress as readable rows of a name and a text."""
    latest = progress.latest
    reason = progress.state.reason.partition(". ")[0]  # the remedy is shown elsewhere
    why = f" ({reason})" if reason else ""
    learned = progress.timesteps / max(progress.total, 1)
    rows = [("state", progress.state.name + why)]
    if progress.phase and progress.is_running:
        rows.append(("phase", _describe_phase(progress.phase)))
    rows.append(("steps", f"{progress.timesteps:,} of {progress.total:,} ({learned:.1%})"))
    for name, (word, form) in _FIGURES.items():
        if name in latest and not (name == "eta_s" and not progress.is_running):
            rows.append((word, form(latest[name])))
    if judged := describe_held_out(latest):
        judged = judged.replace(" (", " collisions (", 1)
        rows.append(("held out", f"{judged}, policy of {latest['eval_timesteps']:,.0f} steps"))
    if "memory_main_mb" in latest:
        memory = latest["memory_main_mb"] + latest.get("memory_workers_mb", 0.0)
        rows.append(("memory", f"{memory:,.0f} MB"))
    kept = progress.checkpoint_timesteps
    rows.append(("checkpoint", "none yet" if kept is None else f"at {kept:,} steps"))
    if progress.usd is not None:
        rows.append(("cost so far", f"{progress.usd:.2f} USD"))
    return rows


def describe_held_out(latest: Mapping[str, float]) -> str:
    """Returns the newest held-out collision rate with its interval and the score; empty without an evaluation."""
    if "eval_collision_rate" not in latest:
        return ""
    low, high = (latest.get(f"eval_collision_rate_{end}", math.nan) for end in ("low", "high"))
    score = f", score {latest['eval_score']:.3f}" if "eval_score" in latest else ""
    return f"{latest['eval_collision_rate']:.1%} ({low:.1%} to {high:.1%}){score}"


def _describe_phase(phase: Phase) -> str:
    share = f", {phase.share:.0%}" if phase.total else ""
    lasted = f", {_duration(max(time.time() - phase.began_s, 0.0))}" if phase.began_s else ""
    return f"{phase.name}{share}{lasted}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


_FIGURES: dict[str, tuple[str, Any]] = {
    "elapsed_s": ("elapsed", _duration),
    "eta_s": ("left", _duration),
    "steps_per_s": ("speed", "{:,.0f} steps/s".format),
    "reward_mean": ("reward per episode", "{:.2f}".format),
    "collision_rate": ("collisions in training", "{:.1%}".format),
    "min_ttc_median_s": ("smallest TTC, median", lambda value: f"{value:.2f} s" if math.isfinite(value) else "none"),
}
