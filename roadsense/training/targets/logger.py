"""One logger of Stable-Baselines3 for all targets that a training was asked to log to."""

import importlib
import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import Logger

from roadsense.errors import InputError
from roadsense.runs.experiment import is_experiment
from roadsense.runs.run import Run

TARGETS = {
    "tensorboard": ("tensorboardX", "tensorboard_target:TensorBoardTarget"),
    "mlflow": ("mlflow", "mlflow_target:MlflowTarget"),
    "wandb": ("wandb", "wandb_target:WandbTarget"),
}
"""Package and class of each target; its extra has the target's name."""
SEARCH_MARK = "journal.log"
"""File in the folder of a search."""


class TargetLogger(Logger):
    """Writes figures to every target.

    Args:
        run: run whose metrics are written.
        names: names of the targets, see `TARGETS`.
    """

    def __init__(self, run: Run, names: Sequence[str]):
        self._run, parents = run, find_parents(run.folder)
        super().__init__(folder=None, output_formats=[_load(name)(run, parents) for name in names])

    def write(self, figures: Mapping[str, Any], step: int) -> None:
        """Writes the figures of a step, those that are finite numbers."""
        for name, value in figures.items():
            if isinstance(value, int | float) and math.isfinite(value):
                self.record(name, value)
        self.dump(step)

    def finish(self) -> None:
        """Adds what a finished training has made."""
        for target in self.output_formats:
            target.finish(self._run)


def check_targets(names: Sequence[str]) -> None:
    """Checks that every target is known and its package installed, before a training begins.

    Raises:
        InputError: if not.
    """
    for name in names:
        if name not in TARGETS:
            raise InputError(f"log: expected targets of {', '.join(TARGETS)}, got {name!r}.")
        if importlib.util.find_spec(TARGETS[name][0]) is None:
            raise InputError(f"Logging to {name} needs {TARGETS[name][0]}. Install `roadsense[{name}]`.")


def find_parents(folder: Path) -> tuple[Path, ...]:
    """Returns the folders of the experiment and the search that a run belongs to, the nearest first."""
    above = folder.resolve().parents[:2]
    return tuple(one for one in above if is_experiment(one) or (one / SEARCH_MARK).is_file())


def _load(name: str) -> Any:
    module, _, kind = TARGETS[name][1].partition(":")
    return getattr(importlib.import_module(f"roadsense.training.targets.{module}"), kind)
