"""Follows a training from any terminal: its metrics as plain lines, until it ends."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from roadsense.command import run_command
from roadsense.runs import Run, open_run
from roadsense.training.run_state import RUNNING

LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class WatchConfig:
    """Settings of `roadsense watch`.

    Attributes:
        run: folder of the run.
        every: seconds between two lines at least; 0 for every line of its metrics.
    """

    run: tyro.conf.Positional[Path]
    every: float = 0.0


def follow(run: Run) -> Iterator[dict[str, Any]]:
    """Yields each line of a run's metrics, those to come as they are written; ends when the run does."""
    n_read = 0
    while True:
        is_running = run.read_state().name == RUNNING
        text = run.metrics_path.read_text() if run.metrics_path.is_file() else ""
        lines = text[: text.rfind("\n") + 1].splitlines()
        for line in lines[n_read:]:
            yield json.loads(line)
        n_read = len(lines)
        if not is_running:
            return
        time.sleep(LOOK_EVERY_S)


def word(figures: dict[str, Any], total: int) -> str:
    """Returns a line of metrics as people read it."""
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
    """Prints a run's progress until it ends, and then what became of it.

    Raises:
        RunError: if the folder holds no run.
    """
    run = open_run(config.run, trained=False)
    total, next_s = run.read_config()["total_timesteps"], 0.0
    for figures in follow(run):
        if time.monotonic() >= next_s or "eval_score" in figures:
            sys.stdout.write(word(figures, total) + "\n")
            sys.stdout.flush()
            next_s = time.monotonic() + config.every
    state = run.read_state()
    sys.stdout.write(f"{run.folder}: {state.name}{f' ({state.reason})' if state.reason else ''}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `roadsense watch RUN`; Ctrl-C ends the watching, not the training."""
    return run_command(lambda: watch(tyro.cli(WatchConfig, args=arguments, prog="roadsense watch")))


if __name__ == "__main__":
    sys.exit(main())
