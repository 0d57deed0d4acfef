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
from roadsense.utils.files import read_bounded

METRIC_VARIABLE = "ROADSENSE_METRIC_LINES"
FIGURES = ("timesteps", "steps_per_s", "reward_mean", "collision_rate", "min_ttc_median_s", "false_braking_share")
"""Figures that get a line, besides those whose names begin with one of `BEGINNINGS`."""
BEGINNINGS = ("eval_", "experiment_")
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
            rows.append(json.loads(line))
        except ValueError as error:
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
