"""Writes a run to MLflow: its settings, metrics and model, with its data and code as tags.

MLflow's own variables say where: `MLFLOW_TRACKING_URI` (SageMaker Studio sets it), `MLFLOW_EXPERIMENT_NAME`.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

from stable_baselines3.common.logger import KVWriter

from roadsense.runs.run import Run
from roadsense.training.targets.ids import read_id, write_id

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
