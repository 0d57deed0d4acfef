"""Where a training's metrics are written beside `metrics.jsonl`: TensorBoard, MLflow, Weights & Biases.

Each is a `KVWriter` of Stable-Baselines3's logger, and gets the same names.
"""

import importlib
import importlib.util
import json
import math
import os
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter, Logger

from roadsense.errors import InputError, RunError
from roadsense.runs.experiment import is_experiment
from roadsense.runs.run import Run
from roadsense.utils.files import read_json, write_atomically

TARGETS = {
    "tensorboard": "tensorboardX",
    "mlflow": "mlflow",
    "wandb": "wandb",
}
"""Package of each target; its extra has the target's name."""
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
        super().__init__(folder=None, output_formats=[KINDS[name](run, parents) for name in names])

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
        if importlib.util.find_spec(TARGETS[name]) is None:
            raise InputError(f"Logging to {name} needs {TARGETS[name]}. Install `roadsense[{name}]`.")


def find_parents(folder: Path) -> tuple[Path, ...]:
    """Returns the folders of the experiment and the search that a run belongs to, the nearest first."""
    above = folder.resolve().parents[:2]
    return tuple(one for one in above if is_experiment(one) or (one / SEARCH_MARK).is_file())


FOLDER = "tensorboard"


class TensorBoardTarget(KVWriter):
    """The event file of a run, in its folder `tensorboard`; a resumed run gets another one there.

    Args:
        run: run whose metrics are written.
        parents: unused; TensorBoard shows the folders below one another as they are.
    """

    def __init__(self, run: Run, parents: tuple[Path, ...]):
        from tensorboardX import SummaryWriter

        self._writer = SummaryWriter(str(run.folder / FOLDER))
        text = json.dumps(run.read_config(), indent=2)
        self._writer.add_text("config", f"```\n{text}\n```")

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes figures of a step, so that they can be seen at once."""
        for name, value in key_values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def finish(self, run: Run) -> None:
        """Does nothing: the model lies beside the event file."""

    def close(self) -> None:
        """Closes the file."""
        self._writer.close()


EXPERIMENT_VARIABLE, EXPERIMENT = "MLFLOW_EXPERIMENT_NAME", "roadsense"
TAGS = ("dataset_digest", "train_digest", "git_commit", "observation_version")
"""Facts of a run's manifest that become tags."""
MAX_PARAMETER = 500
"""Longest value of a parameter that every MLflow server takes."""


class MlflowTarget(KVWriter):
    """A run in MLflow; a resumed one goes on in the same. Without its server a training goes on, and says so once.

    Args:
        run: run whose metrics are written.
        parents: folders of the experiment and of the search that the run belongs to, the nearest first; each is a run
            in MLflow, and this one is nested in the nearest.
    """

    def __init__(self, run: Run, parents: tuple[Path, ...]):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        self._client, self._errors, self._warned = MlflowClient(), (MlflowException, OSError), False
        name = os.environ.get(EXPERIMENT_VARIABLE, EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        nested: dict[str, str] = {}
        for folder in reversed(parents):
            nested = {"mlflow.parentRunId": self._open(experiment, folder, nested, {})}
        manifest = run.read_manifest()
        facts = {name: str(manifest[name]) for name in TAGS if manifest.get(name) is not None}
        self._id = self._open(experiment, run.folder, nested | facts, run.read_config())
        self._end = "KILLED"

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes figures of a step."""
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        try:
            metrics = [Metric(name, float(value), now_ms, step) for name, value in key_values.items()]
            self._client.log_batch(self._id, metrics)
        except self._errors as error:
            if not self._warned:
                sys.stderr.write(f"WARNING: MLflow took no metrics ({error}); the training goes on without.\n")
            self._warned = True

    def finish(self, run: Run) -> None:
        """Adds the model and the manifest, and marks the run as finished."""
        try:
            for path in (run.model_path, run.manifest_path):
                self._client.log_artifact(self._id, str(path))
            self._end = "FINISHED"
        except self._errors as error:
            sys.stderr.write(f"WARNING: MLflow took no model ({error}).\n")

    def close(self) -> None:
        """Ends the run; as killed, unless it was finished."""
        try:
            self._client.set_terminated(self._id, self._end)
        except self._errors as error:
            sys.stderr.write(f"WARNING: MLflow did not end its run ({error}).\n")

    def _open(self, experiment: str, folder: Path, tags: dict[str, str], settings: dict[str, Any]) -> str:
        """Returns the id of a folder's run in MLflow, which is made if there is none."""
        known = read_id(folder, "mlflow")
        if known:
            return known
        made = self._client.create_run(experiment, run_name=folder.name, tags=tags).info.run_id
        for name, value in settings.items():
            self._client.log_param(made, name, str(value)[:MAX_PARAMETER])
        return write_id(folder, "mlflow", made)


PROJECT = "roadsense"


class WandbTarget(KVWriter):
    """A run in Weights & Biases; a resumed one goes on in the same. Its variables, as `WANDB_PROJECT`, hold.

    Args:
        run: run whose metrics are written.
        parents: folders of the experiment and of the search that the run belongs to, the nearest first; the farthest
            is its group, the nearest its job type.
    """

    def __init__(self, run: Run, parents: tuple[Path, ...]):
        import wandb

        known = read_id(run.folder, "wandb") or write_id(run.folder, "wandb", uuid.uuid4().hex[:12])
        nested = {"group": parents[-1].name, "job_type": parents[0].name} if parents else {}
        manifest = run.read_manifest()
        facts = {name: manifest.get(name) for name in ("dataset_digest", "train_digest", "git_commit")}
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=known, resume="allow", name=run.folder.name, dir=str(run.folder), config=run.read_config() | facts,
            **nested,
        )  # fmt: skip

    def write(self, key_values: dict[str, Any], key_excluded: dict[str, tuple[str, ...]], step: int = 0) -> None:
        """Writes figures of a step."""
        self._run.log(dict(key_values), step=step)

    def finish(self, run: Run) -> None:
        """Adds the model."""
        import wandb

        model = wandb.Artifact(f"model-{self._run.id}", type="model")
        model.add_file(str(run.model_path))
        self._run.log_artifact(model)

    def close(self) -> None:
        """Ends the run, and waits until everything is written."""
        self._run.finish()


IDS_NAME = "log_ids.json"


def read_id(folder: Path, target: str) -> str | None:
    """Returns the id of a folder's run at a target, or None if it has none yet."""
    path = folder / IDS_NAME
    return read_json(path, "the ids of a log", RunError).get(target) if path.is_file() else None


def write_id(folder: Path, target: str, run_id: str) -> str:
    """Notes the id of a folder's run at a target, and returns it."""
    path = folder / IDS_NAME
    known = read_json(path, "the ids of a log", RunError) if path.is_file() else {}
    write_atomically(path, json.dumps(known | {target: run_id}) + "\n")
    return run_id


KINDS: dict[str, type[Any]] = {"tensorboard": TensorBoardTarget, "mlflow": MlflowTarget, "wandb": WandbTarget}
"""Class of each target."""
