"""Plans a job inside its target: its notebook and parameters, with the machine's paths filled in."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.cloud.downloads import download_run, unpack_run
from roadsense.cloud.storage import check_dataset
from roadsense.jobs.inside.layout import (
    DEFAULT_NOTEBOOK,
    NAME_VARIABLE,
    NOTEBOOK_VARIABLE,
    RUN_VARIABLE,
    JobLayout,
)
from roadsense.jobs.parameters import (
    Parameter,
    check_parameters,
    decode_parameters,
    find_notebook,
    pack_parameters,
)
from roadsense.jobs.spec import S3
from roadsense.runs.experiment import EXPERIMENT_NAME, is_trained
from roadsense.scenarios.dataset import MANIFEST_NAME
from roadsense.scenarios.records import SPLITS

RUN, RESUME, DATASET, EVAL, OUTPUT = "run_dir", "resume", "dataset_dir", "eval_dir", "output_dir"
DEFAULT_NAME = "job"


@dataclass(frozen=True)
class JobPlan:
    """A job that is ready to start.

    Attributes:
        notebook: path of the notebook.
        executed: new file for the executed copy.
        parameters: all given parameters, by name.
        trained_dir: the run folder, if the notebook trains a run; else None.
        is_finished: whether an earlier start of the job finished that training.
    """

    notebook: Path
    executed: Path
    parameters: Mapping[str, Any]
    trained_dir: Path | None
    is_finished: bool = False


def plan_job(layout: JobLayout, environment: Mapping[str, str]) -> JobPlan:
    """Reads a job from its layout and its environment.

    A notebook with the parameters `run_dir` and `resume` trains: its run folder survives an interruption, and an
    existing run is resumed. One with `run_dir` alone works on a run: the job's input, or one on S3. `output_dir` is put
    into the results. The dataset is the job's, unless the parameters name one.

    Raises:
        InputError: for an unknown notebook or parameter, or a value of another type.
        DatasetError: if the job's dataset differs from its manifest.
    """
    notebook = find_notebook(environment.get(NOTEBOOK_VARIABLE) or DEFAULT_NOTEBOOK)
    given = decode_parameters(notebook, layout.read_hyperparameters())
    known = check_parameters(notebook, given)
    name = environment.get(RUN_VARIABLE) or environment.get(NAME_VARIABLE) or DEFAULT_NAME
    run_dir = layout.run_dir(name) if {RUN, RESUME} <= known.keys() else None
    parameters = given | _place_paths(layout, known, given)
    is_finished = False
    if run_dir is not None:
        parameters |= _place_run(run_dir, given)
        is_finished = parameters[RESUME] != "" and is_trained(run_dir)
    packed = pack_parameters(notebook, parameters)
    return JobPlan(notebook, _name_executed(layout, notebook), packed, run_dir, is_finished)


def _place_paths(layout: JobLayout, known: Mapping[str, Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    paths = {}
    if DATASET in known and DATASET not in given and _has_dataset(layout):
        split = Path(str(known[DATASET].default)).name
        paths[DATASET] = str(layout.dataset_dir / split if split in SPLITS else layout.dataset_dir)
    held_out_dir = layout.dataset_dir / SPLITS[1]
    if EVAL in known and EVAL not in given and DATASET in given and held_out_dir.is_dir():
        paths[EVAL] = str(held_out_dir)
    if OUTPUT in known:
        paths[OUTPUT] = str(layout.model_dir / Path(str(given.get(OUTPUT, known[OUTPUT].default))).name)
    if RUN in known and RESUME not in known:
        paths |= _place_input_run(layout, str(given.get(RUN)))
    return paths


def _place_input_run(layout: JobLayout, given: str) -> dict[str, str]:
    """Returns the path of the run that the notebook works on: a copy that may be changed, or the given path."""
    if not layout.run_input_dir.is_dir() and not given.startswith(S3):
        return {}
    if not layout.run_copy_dir.exists():
        if layout.run_input_dir.is_dir():
            unpack_run(layout.run_input_dir, layout.run_copy_dir)
        else:
            download_run(given, layout.run_copy_dir)
    return {RUN: str(layout.run_copy_dir)}


def _has_dataset(layout: JobLayout) -> bool:
    """Returns whether the job has a dataset, after comparing all its files with its manifest."""
    folder = layout.dataset_dir
    if not folder.is_dir() or not any(folder.iterdir()):
        return False
    if (folder / MANIFEST_NAME).is_file():
        check_dataset(folder)
    return True


def _place_run(run_dir: Path, given: Mapping[str, Any]) -> dict[str, str]:
    """Returns the parameters that start the run, or resume it if it exists."""
    for name in (RUN, RESUME):
        if given.get(name):
            sys.stderr.write(f"{name} {given[name]} is not used: a job trains in its own folder and resumes itself.\n")
    if any((run_dir / name).is_file() for name in ("config.json", EXPERIMENT_NAME)):
        sys.stderr.write(f"Resuming the run in {run_dir}.\n")
        return {RUN: "", RESUME: str(run_dir)}
    if run_dir.exists():  # started, but nothing was written
        shutil.rmtree(run_dir)
    return {RUN: str(run_dir), RESUME: ""}


def _name_executed(layout: JobLayout, notebook: Path) -> Path:
    """Returns the path of the executed copy; renames the copies of earlier starts of the job."""
    path = layout.output_data_dir / notebook.name
    number = 1
    while path.exists():
        earlier = path.with_stem(f"{notebook.stem}.{number}")
        if not earlier.exists():
            path.rename(earlier)
        number += 1
    return path
