"""What a training says of itself: a line of figures per update, and a progress bar."""

import json
import math
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
from stable_baselines3.common.callbacks import BaseCallback

from roadsense.progress import progress_bar

WINDOW_EPISODES = 200
"""Figures of episodes are means over this many of the latest."""
LEARNING_FIGURES = ("approx_kl", "clip_fraction", "entropy_loss", "explained_variance", "value_loss", "std")


class TrainingLog(BaseCallback):
    """Writes one JSON object per update to `metrics.jsonl`, flushed, and moves the progress bar.

    Args:
        path: the file to append to.
        total_timesteps: steps to learn from.
    """

    def __init__(self, path: Path, total_timesteps: int):
        super().__init__()
        self._path = path
        self._total = total_timesteps
        self._outcomes: deque[dict[str, Any]] = deque(maxlen=WINDOW_EPISODES)
        self._n_episodes = 0

    def _on_training_start(self) -> None:
        # PPO learns from whole rollouts, so it ends with the first that reaches the total.
        per_update = self.training_env.num_envs * self.model.n_steps
        self._total = math.ceil(self._total / per_update) * per_update
        self._bar = progress_bar(self._total, "training", "step")
        self._started_s = time.monotonic()

    def _on_step(self) -> bool:
        self._bar.update(self.training_env.num_envs)
        for info in self.locals["infos"]:
            if "outcome" in info:
                self._outcomes.append(info["outcome"])
                self._n_episodes += 1
        return True

    def _on_rollout_end(self) -> None:
        self._write(self.figures())

    def _on_training_end(self) -> None:
        self._write(self.figures())
        self._bar.close()

    def figures(self) -> dict[str, float]:
        """Returns the figures of now, by name."""
        elapsed_s = time.monotonic() - self._started_s
        figures = {
            "timesteps": self.num_timesteps,
            "elapsed_s": round(elapsed_s, 1),
            "steps_per_s": round(self.num_timesteps / max(elapsed_s, 1e-9), 1),
            "eta_s": round(elapsed_s * (self._total / max(self.num_timesteps, 1) - 1), 1),
            "episodes": self._n_episodes,
        }
        figures |= self._episode_figures()
        learned = {name: self.logger.name_to_value.get(f"train/{name}") for name in LEARNING_FIGURES}
        return figures | {name: float(value) for name, value in learned.items() if value is not None}

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

    def _write(self, figures: dict[str, float]) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(figures) + "\n")
        if "collision_rate" in figures:
            self._bar.set_postfix_str(
                f"collisions {figures['collision_rate']:.1%}, reward {figures['reward_mean']:.1f}", refresh=False
            )
