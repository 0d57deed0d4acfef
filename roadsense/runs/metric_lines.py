"""A training's figures as lines that a program reads from its output: `roadsense_metric eval_score=0.123`.

They are written where a variable of the environment asks for them, as it does in a job.
"""

import math
import os
import sys
from collections.abc import Mapping
from typing import Any

METRIC_VARIABLE = "ROADSENSE_METRIC_LINES"
FIGURES = ("timesteps", "steps_per_s", "reward_mean", "collision_rate", "min_ttc_median_s", "false_braking_share")
"""Figures that get a line, beside all whose names begin with one of `BEGINNINGS`."""
BEGINNINGS = ("eval_", "experiment_")
PREFIX = "roadsense_metric"
PATTERN = r"roadsense_metric {name}=([-+0-9.eE]+)"
"""Regular expression of a figure's line, for `str.format`."""


def tell_metrics(figures: Mapping[str, Any]) -> None:
    """Writes a line for each finite figure worth one to standard output, at once."""
    if not os.environ.get(METRIC_VARIABLE):
        return
    told = {name: float(figures[name]) for name in figures if name in FIGURES or name.startswith(BEGINNINGS)}
    lines = [f"{PREFIX} {name}={value:.9g}\n" for name, value in told.items() if math.isfinite(value)]
    sys.stdout.write("".join(lines))
    sys.stdout.flush()
