"""Follows a training from any terminal: its metrics as plain lines, until it ends."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from roadsense.runs.experiment import is_experiment, list_seed_folders
from roadsense.runs.metric_lines import read_metric_lines
from roadsense.runs.run import Run, newest_run, open_run
from roadsense.runs.state import RUNNING, TRAINED
from roadsense.utils.workspace import resolve

LOOK_EVERY_S = 0.5
BEGIN_LIMIT_S = 30.0
"""Longest wait for the next run of an experiment."""


@dataclass(frozen=True)
class WatchConfig:
    """Settings of `roadsense watch`.

    Attributes:
        run: folder of a run or of an experiment; by default the newest run.
        every: least time between two lines [s]; 0: every line of the metrics.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = None
    every: float = 0.0


def follow(run: Run) -> Iterator[dict[str, Any]]:
    """Yields each line of a run's metrics, new ones as they are written; ends with the run."""
    n_read = 0
    while True:
        is_running = run.read_state().name == RUNNING
        lines = read_metric_lines(run.metrics_path)
        yield from lines[n_read:]
        n_read = len(lines)
        if not is_running:
            return
        time.sleep(LOOK_EVERY_S)


def describe(figures: dict[str, Any], total: int) -> str:
    """Returns a line of metrics as readable text."""
    parts = [f"{figures['timesteps']:>11,} steps ({figures['timesteps'] / total:.1%})"]
    for name, form in {
        "steps_per_s": "{:,.0f} steps/s",
        "reward_mean": "reward {:.1f}",
        "collision_rate": "collisions {:.1%}",
        "min_ttc_median_s": "TTC {:.1f} s",
        "eta_s": "{:,.0f} s left",
    }.items():
        if figures.get(name) is not None:
            parts.append(form.format(figures[name]))
    if "eval_score" in figures:
        low, high = figures["eval_collision_rate_low"], figures["eval_collision_rate_high"]
        parts.append(
            f"held out at {figures['eval_timesteps']:,}: collisions {figures['eval_collision_rate']:.1%} "
            f"({low:.1%} to {high:.1%}), score {figures['eval_score']:.3f}"
        )
    return "  ".join(parts)


def watch(config: WatchConfig) -> None:
    """Prints a run's progress until it ends, and then its state; for an experiment, one run after the other.

    Raises:
        RunError: if the folder holds no run.
    """
    folder = resolve(config.run) if config.run else newest_run().folder
    if not is_experiment(folder):
        _watch_run(open_run(folder, trained=False), config.every)
        return
    for place in list_seed_folders(folder):
        if not _has_begun(place):
            sys.stdout.write(f"{place}: not begun\n")
            return
        run = open_run(place, trained=False)
        _watch_run(run, config.every)
        if run.read_state().name != TRAINED:
            return


def _has_begun(folder: Path) -> bool:
    """Waits until a run has begun, for at most `BEGIN_LIMIT_S`; returns whether it has."""
    end_s = time.monotonic() + BEGIN_LIMIT_S
    while not (folder / "config.json").is_file():
        if time.monotonic() > end_s:
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _watch_run(run: Run, every_s: float) -> None:
    total, next_s = run.read_total_timesteps(), 0.0
    for figures in follow(run):
        if time.monotonic() >= next_s or "eval_score" in figures:
            sys.stdout.write(describe(figures, total) + "\n")
            sys.stdout.flush()
            next_s = time.monotonic() + every_s
    state = run.read_state()
    sys.stdout.write(f"{run.folder}: {state.name}{f' ({state.reason})' if state.reason else ''}\n")
