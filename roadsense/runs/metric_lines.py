"""A training's figures as lines: reads them from `metrics.jsonl`, and prints them for programs that read its output.

Printed lines look like `roadsense_metric eval_score=0.123`. They are printed if an environment variable asks for them,
as in jobs.
"""

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadsense.errors import RunError
from roadsense.utils.files import check_object, read_bounded

METRIC_VARIABLE = "ROADSENSE_METRIC_LINES"
FIGURES = ("timesteps", "steps_per_s", "reward_mean", "collision_rate", "min_ttc_median_s", "false_braking_share")
"""Figures that get a line, besides those whose names begin with one of `BEGINNINGS`."""
BEGINNINGS = ("eval_", "experiment_")
MEANINGS = {
    "timesteps": "environment steps learned from",
    "elapsed_s": "time of learning, s, without the head start",
    "steps_per_s": "environment steps per second since the line before",
    "eta_s": "expected time to the end, s",
    "episodes": "episodes that have ended",
    "reward_mean": "mean reward of the latest 200 episodes; so are the next ones, until `term_`",
    "collision_rate": "share of them with a collision",
    "min_ttc_median_s": "median of their smallest times to collision, s",
    "false_braking_share": "share of their calm time in which the assist braked",
    "term_": "sum of a term of the reward in an episode, unweighted, by its name",
    "approx_kl": "distance of the new policy from the old one; to `learning_rate` all are Stable-Baselines3's",
    "clip_fraction": "share of samples that PPO's clipping touched",
    "entropy_loss": "negative entropy of the actions",
    "explained_variance": "how well the critic predicts returns; 1 is perfect",
    "value_loss": "loss of PPO's critic",
    "std": "standard deviation of the exploration, in actions",
    "actor_loss": "loss of the actor of SAC and TQC",
    "critic_loss": "loss of their critics",
    "ent_coef": "their weight of the entropy",
    "learning_rate": "present learning rate",
    "memory_main_mb": "resident memory of the learner, MB",
    "memory_workers_mb": "resident memory of all workers, MB",
    "eval_timesteps": "steps at which the policy of this evaluation on held-out scenarios was kept",
    "eval_episodes": "its episodes, without failed ones",
    "eval_failed": "its episodes that SUMO could not drive",
    "eval_collisions": "its collisions",
    "eval_collision_rate": "share of its episodes with a collision",
    "eval_collision_rate_": "`low` and `high`: exact 95 % interval of this share",
    "eval_false_braking_share": "share of calm time in which the assist braked",
    "eval_needless_mps2": "mean needless braking, m/s2",
    "eval_min_ttc_median_s": "median of the smallest times to collision, s",
    "eval_score": "lower end of the 95 % interval of the share of safe episodes, less mean needless braking, m/s2",
    "experiment_score": "mean score over the seeds of an experiment so far",
    "experiment_worst_score": "lowest of these scores",
}
"""Meaning of each figure in `metrics.jsonl`; a name that ends with `_` stands for all that begin with it."""
PREFIX = "roadsense_metric"
PATTERN = r"roadsense_metric {name}=([-+0-9.eE]+)"
"""Regular expression of a figure's line, for `str.format`."""


def read_metric_lines(path: Path) -> list[dict[str, Any]]:
    """Returns the figures of each line of a `metrics.jsonl`; none if there is no file.

    The last line is left out if it is not complete yet.

    Raises:
        RunError: if the file is too large or a line is damaged; it names the line.
    """
    text = read_bounded(path, "the figures of a run", RunError).decode(errors="replace") if path.is_file() else ""
    rows = []
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), start=1):
        try:
            rows.append(check_object(json.loads(line), timesteps=int))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path}:{number}: expected figures as JSON, got {line[:80]!r}. Remove the line.") from error
    return rows


def print_metrics(figures: Mapping[str, Any]) -> None:
    """Writes a line for each finite figure of `FIGURES` and `BEGINNINGS` to standard output and flushes it."""
    if not os.environ.get(METRIC_VARIABLE):
        return
    wanted = {name: float(figures[name]) for name in figures if name in FIGURES or name.startswith(BEGINNINGS)}
    lines = [f"{PREFIX} {name}={value:.9g}\n" for name, value in wanted.items() if math.isfinite(value)]
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
