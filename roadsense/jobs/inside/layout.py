"""The job folder, with SageMaker's layout on every target: the target writes it, the job reads it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import JobSpec
from roadsense.utils.files import read_json, write_atomically

ROOT_VARIABLE = "ROADSENSE_JOB_ROOT"
NOTEBOOK_VARIABLE = "ROADSENSE_NOTEBOOK"
NAME_VARIABLE = "TRAINING_JOB_NAME"
RUN_VARIABLE = "ROADSENSE_RUN_NAME"
"""Variable with the run folder's name: a job on SageMaker that resumes an earlier one uses the earlier folder."""
DEFAULT_ROOT = "/opt/ml"
DEFAULT_NOTEBOOK = "01_train"
MAX_FAILURE = 1023
"""Largest size of a failure's reason, bytes: SageMaker shows the first 1,024 characters of the file."""
CHANNEL, RUN_CHANNEL = "dataset", "run"
"""Input channels: the dataset, and the run that a notebook works on."""
IGNORED = ("_", "sagemaker_")
"""First characters of hyperparameters for SageMaker itself."""


@dataclass(frozen=True)
class JobLayout:
    """The paths of a job's files.

    Attributes:
        root: the job's root folder, `/opt/ml` in a container.
    """

    root: Path

    @property
    def hyperparameters_path(self) -> Path:
        """The notebook's parameters, JSON, every value a string."""
        return self.root / "input" / "config" / "hyperparameters.json"

    @property
    def dataset_dir(self) -> Path:
        """The whole dataset, if the job has one."""
        return self.root / "input" / "data" / CHANNEL

    @property
    def run_input_dir(self) -> Path:
        """The job's input run: a run folder, or SageMaker's `model.tar.gz`."""
        return self.root / "input" / "data" / RUN_CHANNEL

    @property
    def run_copy_dir(self) -> Path:
        """A copy of the input run that may be changed."""
        return self.root / "run"

    @property
    def model_dir(self) -> Path:
        """The job's results: the run, exports, the executed notebook."""
        return self.root / "model"

    @property
    def output_data_dir(self) -> Path:
        """The executed notebook while it runs, and other files for the user."""
        return self.root / "output" / "data"

    @property
    def failure_path(self) -> Path:
        """Why the job failed; absent otherwise."""
        return self.root / "output" / "failure"

    @property
    def stop_path(self) -> Path:
        """The stop file: exists after the job was asked to stop, and holds the signal's name."""
        return self.root / "output" / "stop"

    @property
    def state_path(self) -> Path:
        """The job's state, JSON, updated while it runs: a heartbeat (see `heartbeat.py`)."""
        return self.root / "output" / "state.json"

    @property
    def checkpoint_root(self) -> Path:
        """The checkpoints; SageMaker copies them to S3, and back before a restart."""
        return self.root / "checkpoints"

    def run_dir(self, job: str) -> Path:
        """The run folder of a job while it trains."""
        return self.checkpoint_root / job

    def read_hyperparameters(self) -> dict[str, str]:
        """Returns the notebook's parameters as texts, without those for SageMaker itself; empty without a file.

        Raises:
            InputError: if the file is not a JSON object.
        """
        path = self.hyperparameters_path
        if not path.is_file():
            return {}
        values = read_json(path, "the parameters of a job")
        own = {name: value for name, value in values.items() if not name.startswith(IGNORED)}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in own.items()}

    def make_folders(self) -> None:
        """Makes the folders that the job writes to."""
        for folder in (self.model_dir, self.output_data_dir, self.checkpoint_root):
            folder.mkdir(parents=True, exist_ok=True)

    def write_failure(self, reason: str) -> None:
        """Writes why the job failed, shortened to the length that SageMaker shows."""
        self.failure_path.parent.mkdir(parents=True, exist_ok=True)
        cut = reason.encode(errors="replace")[:MAX_FAILURE].decode(errors="ignore")
        write_atomically(self.failure_path, cut + "\n")


def open_layout(environment: Mapping[str, str] = os.environ) -> JobLayout:
    """Returns the layout of this process's job, at `$ROADSENSE_JOB_ROOT`."""
    return JobLayout(Path(environment.get(ROOT_VARIABLE, DEFAULT_ROOT)))


def write_layout(root: Path, spec: JobSpec, dataset: Path | None = None) -> JobLayout:
    """Writes a job's input files at the paths that SageMaker gives them.

    Args:
        root: the job's root folder; files of an earlier start of the same job stay.
        spec: checked spec.
        dataset: folder of the dataset, which is linked and not copied.
    """
    layout = JobLayout(root)
    layout.make_folders()
    layout.hyperparameters_path.parent.mkdir(parents=True, exist_ok=True)
    texts = {name: encode_value(value) for name, value in spec.parameters.items()}
    write_atomically(layout.hyperparameters_path, json.dumps(texts, indent=2) + "\n")
    if dataset is not None and not layout.dataset_dir.exists():
        layout.dataset_dir.parent.mkdir(parents=True, exist_ok=True)
        layout.dataset_dir.symlink_to(dataset.resolve(), target_is_directory=True)
    return layout


def job_environment(spec: JobSpec) -> dict[str, str]:
    """Returns the environment variables that identify the job for the runner."""
    return {
        NAME_VARIABLE: spec.name or "",
        RUN_VARIABLE: spec.run_name,
        NOTEBOOK_VARIABLE: spec.notebook_name,
        "ROADSENSE_JOB_TARGET": spec.target,
    }
