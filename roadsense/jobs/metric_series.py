"""Reads the figures of a training from its job's log while it runs, on every target."""

import math
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from roadsense.runs.metric_lines import PATTERN

if TYPE_CHECKING:
    import pandas as pd

METRICS = (
    "eval_score", "experiment_score", "experiment_worst_score", "timesteps", "steps_per_s", "reward_mean",
    "collision_rate", "min_ttc_median_s", "false_braking_share", "eval_timesteps", "eval_collision_rate",
    "eval_collision_rate_low", "eval_collision_rate_high", "eval_false_braking_share", "eval_min_ttc_median_s",
)  # fmt: skip
"""Figures that are read from a job's log; see `roadsense.runs.metric_lines`."""
FIRST = "timesteps"
"""The first figure of every set of figures."""
REGEXES: Mapping[str, str] = {name: PATTERN.format(name=name) for name in METRICS}


class MetricSeries:
    """Figures over the course of a job, read line by line.

    An interrupted job prints some figures again when it resumes; the new figures replace the earlier ones.

    Args:
        regexes: regular expression for each figure, with one group for its value.
        n_seeds: number of trainings in the job, one after the other.
    """

    def __init__(self, regexes: Mapping[str, str] = REGEXES, n_seeds: int = 1):
        self._regexes = {name: re.compile(regex) for name, regex in regexes.items()}
        self._n_seeds = n_seeds
        self._rows: list[dict[str, float]] = []

    def take(self, line: str) -> bool:
        """Takes a line; returns whether it holds a figure. Skips incomplete numbers, NaN and infinity."""
        found = False
        for name, regex in self._regexes.items():
            match = regex.search(line)
            value = _read_number(match[1]) if match else math.nan
            if math.isfinite(value):
                self._add(name, value)
                found = True
        return found

    def take_all(self, lines: Iterable[str]) -> "MetricSeries":
        """Takes lines and returns itself."""
        for line in lines:
            self.take(line)
        return self

    def table(self) -> "pd.DataFrame":
        """Returns a row for each set of figures, as `Run.read_metrics`; several seeds add the column `seed`, from 0."""
        import pandas as pd

        table = pd.DataFrame(self._rows)
        return table if self._n_seeds > 1 else table.drop(columns="seed", errors="ignore")

    def latest(self) -> dict[str, float]:
        """Returns the newest value of each figure, by name."""
        newest: dict[str, float] = {}
        for row in self._rows:
            newest |= row
        return {name: value for name, value in newest.items() if name != "seed"}

    def _add(self, name: str, value: float) -> None:
        if name == FIRST or not self._rows:
            self._begin(value if name == FIRST else 0.0)
        self._rows[-1][name] = value

    def _begin(self, timesteps: float) -> None:
        seed = self._rows[-1]["seed"] if self._rows else 0
        own = [row for row in self._rows if row["seed"] == seed]
        if own and timesteps < own[-1].get(FIRST, 0.0):
            if seed + 1 < self._n_seeds and timesteps <= own[0].get(FIRST, 0.0):
                seed += 1  # the steps start again: the next seed
            else:
                self._rows = [row for row in self._rows if row["seed"] < seed or row.get(FIRST, 0.0) < timesteps]
        self._rows.append({"seed": seed})


def _read_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # the log was read while the line was being written
        return math.nan


def count_seeds(parameters: Mapping[str, Any]) -> int:
    """Returns how many trainings a job with these parameters runs; it also reads texts, as SageMaker gives them."""
    seeds = parameters.get("seeds", ())
    return max(len(re.findall(r"\d+", seeds) if isinstance(seeds, str) else list(seeds)), 1)


def describe_latest(series: MetricSeries) -> str:
    """Returns the newest figures in one readable line; an empty text if there are none yet."""
    latest = series.latest()
    parts = [f"{latest[FIRST]:,.0f} steps"] if FIRST in latest else []
    for name, form in {
        "steps_per_s": "{:,.0f} steps/s",
        "collision_rate": "collisions {:.1%}",
        "reward_mean": "reward {:.1f}",
        "eval_collision_rate": "held out: collisions {:.1%}",
        "eval_score": "score {:.3f}",
        "experiment_score": "over the seeds {:.3f}",
    }.items():
        if name in latest:
            parts.append(form.format(latest[name]))
    return ", ".join(parts)


def plot_series(series: MetricSeries) -> Any:
    """Draws the learning curves of a job: `plot_learning`, or `plot_learning_of_seeds` for several seeds.

    Returns:
        The figure, or None if there is nothing to draw yet.
    """
    from roadsense.runs.figures import LEARNING_PANELS, plot_learning, plot_learning_of_seeds

    table = series.table()
    if not set(LEARNING_PANELS) & set(table.columns):
        return None
    several = "seed" in table and table["seed"].nunique() > 1
    return plot_learning_of_seeds(table) if several else plot_learning(table)
