"""The log of a training: a line of figures per interval, and a progress bar."""

import json
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback
from tqdm import tqdm

from roadsense.runs.metric_lines import print_metrics, read_metric_lines
from roadsense.utils.files import write_atomically
from roadsense.utils.progress import progress_bar

WINDOW_EPISODES = 200
"""Episode figures are means over this many of the latest episodes."""
LEARNING_FIGURES = (
    "approx_kl", "clip_fraction", "entropy_loss", "explained_variance", "value_loss", "std", "actor_loss",
    "critic_loss", "ent_coef", "learning_rate",
)  # fmt: skip


class TrainingLog(BaseCallback):
    """Appends one JSON object per interval to `metrics.jsonl`, flushed, and moves the progress bar.

    Args:
        path: path of the file to append to.
        total_timesteps: number of environment steps of the whole training, as `Run.read_total_timesteps` returns it.
        interval: number of environment steps between two lines, at least one rollout.
        take_evaluation: function that returns the figures of a finished evaluation that is not logged yet, or None.
        copy_to: function that gets the figures of each line too, and the number of steps.
    """

    def __init__(
        self,
        path: Path,
        total_timesteps: int,
        interval: int,
        take_evaluation: Callable[[], dict[str, Any] | None],
        copy_to: Callable[[dict[str, Any], int], None] = lambda figures, step: None,
    ):
        super().__init__()
        self._path, self._total, self._interval = path, total_timesteps, interval
        self._take_evaluation, self._copy_to = take_evaluation, copy_to
        self._bar: tqdm | None = None
        self._started_s: float | None = None
        self._outcomes: deque[dict[str, Any]] = deque(maxlen=WINDOW_EPISODES)
        self._n_episodes, self._elapsed_before_s, self._next = 0, 0.0, 0

    def state(self) -> dict[str, Any]:
        """Returns the state for a checkpoint."""
        return {
            "outcomes": [_as_plain(row) for row in self._outcomes],
            "n_episodes": self._n_episodes,
            "elapsed_s": self._elapsed_s(),
            "next": self._next,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Sets the state that `state` returned."""
        self._outcomes.extend(state["outcomes"])
        self._n_episodes, self._elapsed_before_s, self._next = state["n_episodes"], state["elapsed_s"], state["next"]

    def _on_training_start(self) -> None:
        self._bar = progress_bar(self._total, "training", "step", done=self.num_timesteps)
        self._started_s = self._line_s = time.monotonic()
        self._started_at = self._line_at = self.num_timesteps

    def _on_step(self) -> bool:
        if self._bar is not None:
            self._bar.update(self.training_env.num_envs)
        for info in self.locals["infos"]:
            if "outcome" in info:
                self._outcomes.append(info["outcome"])
                self._n_episodes += 1
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps >= self._next:
            self._next = (self.num_timesteps // self._interval + 1) * self._interval
            self._write(self.figures())

    def _on_training_end(self) -> None:
        if self.num_timesteps != self._line_at:
            self._write(self.figures())
        self.close()

    def close(self) -> None:
        """Ends the progress bar, so that nothing is printed after an error message."""
        if self._bar is not None:
            self._bar.close()

    def finish(self) -> None:
        """Writes a line for each evaluation that is not logged yet."""
        while evaluation := self._take_evaluation():
            self._append({"timesteps": self.num_timesteps, **evaluation})

    def figures(self) -> dict[str, Any]:
        """Returns the current figures, by name."""
        now_s = time.monotonic()
        done, line_s = self.num_timesteps - self._started_at, max(now_s - self._line_s, 1e-9)
        left = self._total - self.num_timesteps
        figures: dict[str, Any] = {
            "timesteps": self.num_timesteps,
            "elapsed_s": round(self._elapsed_s(), 1),
            "steps_per_s": round((self.num_timesteps - self._line_at) / line_s, 1),
            "eta_s": round((now_s - (self._started_s or now_s)) * left / max(done, 1), 1),
            "episodes": self._n_episodes,
        }
        figures |= self._episode_figures()
        learned = {name: self.logger.name_to_value.get(f"train/{name}") for name in LEARNING_FIGURES}
        figures |= {name: float(value) for name, value in learned.items() if value is not None}
        return figures | measure_memory() | (self._take_evaluation() or {})

    def _elapsed_s(self) -> float:
        return self._elapsed_before_s + (0.0 if self._started_s is None else time.monotonic() - self._started_s)

    def _episode_figures(self) -> dict[str, float]:
        outcomes = self._outcomes
        if not outcomes:
            return {}
        figures = {
            "reward_mean": float(np.mean([row["reward"] for row in outcomes])),
            "collision_rate": float(np.mean([row["collision"] for row in outcomes])),
            "min_ttc_median_s": float(np.median([row["min_ttc_s"] for row in outcomes])),
            "false_braking_share": sum(row["false_braking_s"] for row in outcomes)
            / max(sum(row["calm_s"] for row in outcomes), 1e-9),
        }
        for name in outcomes[0]:
            if name.startswith("term_"):
                figures[name] = float(np.mean([row[name] for row in outcomes]))
        return figures

    def _write(self, figures: dict[str, Any]) -> None:
        self._line_s, self._line_at = time.monotonic(), self.num_timesteps
        self._append(figures)
        bar = self._bar
        if bar is not None and "collision_rate" in figures:
            bar.set_postfix_str(
                f"collisions {figures['collision_rate']:.1%}, reward {figures['reward_mean']:.1f}", refresh=False
            )

    def _append(self, figures: dict[str, Any]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(figures) + "\n")
        print_metrics(figures)
        self._copy_to(figures, figures["timesteps"])


def cut_metrics(path: Path, timesteps: int) -> None:
    """Removes the lines of `metrics.jsonl` beyond a number of steps; the resumed training writes them again."""
    if path.is_file():
        kept = [line for line in read_metric_lines(path) if line["timesteps"] <= timesteps]
        write_atomically(path, "".join(json.dumps(line) + "\n" for line in kept))


def measure_memory() -> dict[str, float]:
    """Returns the resident memory of this process and of all its workers, in MB; nothing where there is no /proc."""
    workers = [_resident_mb(process.pid) for process in multiprocessing.active_children() if process.pid]
    main = _resident_mb(os.getpid())
    return {"memory_main_mb": main, "memory_workers_mb": round(sum(workers), 1)} if main else {}


def _resident_mb(pid: int) -> float:
    try:
        n_pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # no /proc, or the process has just ended
        return 0.0
    return round(n_pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)


def _as_plain(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with Python's numbers instead of NumPy's, so that a checkpoint can hold it."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
