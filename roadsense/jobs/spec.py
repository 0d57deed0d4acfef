"""The spec of a job: a notebook, its parameters, a machine and, if the job is a search, the search.

The checks are plain Python: pydantic would be a dependency of every local job and need as many lines for our messages.
"""

import json
import math
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tyro

from roadsense.cloud.storage import check_dataset
from roadsense.errors import InputError
from roadsense.jobs.parameters import (
    NOTEBOOK_DIR,
    Parameter,
    check_parameters,
    check_settings,
    find_notebook,
    read_values,
)
from roadsense.jobs.tags import check_tags, refuse_secrets
from roadsense.jobs.tuning import TuningConfig
from roadsense.utils.bounds import check_bounds
from roadsense.utils.files import read_json, write_atomically

LOCAL_TARGETS = ("local", "docker")
CLOUD_TARGETS = ("ec2", "sagemaker")
ISOLATED = ("docker", "sagemaker")
"""Targets whose containers reach no network."""
INSTANCE_TYPES: Mapping[str, str] = {"ec2": "c6i.8xlarge", "sagemaker": "ml.c5.9xlarge"}
"""Default machine type of each cloud target."""
NAME = re.compile(r"[a-zA-Z0-9](-?[a-zA-Z0-9])*")
CLOUD_NAME = "roadsense-"
"""First part of every job name on AWS: the policies in `infra/iam` allow no other names."""
MAX_NAME, MAX_SEARCH_NAME = 63, 32
S3 = "s3://"
S3_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")
DATASET_URL = re.compile(S3_URL.pattern + r"(?<=/)datasets/[0-9a-f]{64}/?")
MAX_DAYS = 28
"""Longest job on SageMaker, days."""


@dataclass(frozen=True)
class JobSpec:
    """A notebook, its parameters and a machine.

    Attributes:
        notebook: path of the notebook, or its name in `notebooks` (`01_train`).
        parameters: values of the notebook's parameters, by name.
        target: `local`, `docker`, `ec2` or `sagemaker`.
        name: letters, digits and single hyphens, at most 63, for a search 32; on AWS it begins with `roadsense-`. By
            default `roadsense-<notebook>-<time>-<4 hex digits>`.
        image: tag of a Docker image, or URI of one in ECR.
        instance_type: machine type; by default `c6i.8xlarge` on EC2, `ml.c5.9xlarge` on SageMaker.
        dataset: folder of a whole dataset, or `s3://.../datasets/<digest>`.
        output: folder that will hold the job folder, or `s3://bucket/prefix`.
        max_hours: longest time of the job, or of each training in a search, hours, above 0; anew for a resumed job.
        max_usd: highest cost of the job, or of all trials of a search, US dollars; it may shorten `max_hours`. A job
            that is resumed may cost it again.
        spot: whether to use spare capacity, which is cheaper and may be taken away at any time. On AWS only.
        region: AWS region; by default the configured one.
        role: instance profile's name (EC2), or execution role's ARN (SageMaker).
        resume_of: name of an earlier job on SageMaker whose checkpoints this one continues; set by `job resume`.
        tags: your own tags, added to those that every job gets.
        search: settings of the search, if the job has more than one trial. On SageMaker only.

    Examples:
        >>> import roadsense as rs
        >>> spec = rs.JobSpec("01_train", {"seed": 1}, target="ec2", output="s3://bucket/prefix", max_hours=4)
        >>> spec.is_cloud
        True
    """

    notebook: tyro.conf.Suppress[str]
    parameters: tyro.conf.Suppress[Mapping[str, Any]] = field(default_factory=dict)
    target: str = "local"
    name: str | None = None
    image: str | None = None
    instance_type: str | None = None
    dataset: str | None = None
    output: str = "runs/jobs"
    max_hours: float = 12.0
    max_usd: float | None = None
    spot: bool = False
    region: str | None = None
    role: str | None = None
    resume_of: tyro.conf.Suppress[str | None] = None
    tags: tyro.conf.Suppress[Mapping[str, str]] = field(default_factory=dict)
    search: Annotated[TuningConfig, tyro.conf.arg(name="")] = field(default_factory=TuningConfig)

    def __post_init__(self) -> None:
        check_bounds(self)
        object.__setattr__(self, "target", self.target.lower())
        if self.target not in LOCAL_TARGETS + CLOUD_TARGETS:
            raise InputError(f"Expected target of {', '.join(LOCAL_TARGETS + CLOUD_TARGETS)}, got {self.target!r}.")
        _check_name(self)
        if not 0 < self.max_hours <= 24 * MAX_DAYS:
            raise InputError(f"Expected max_hours above 0 and at most {24 * MAX_DAYS}, got {self.max_hours}.")
        if self.max_usd is not None and not 0 < self.max_usd < math.inf:
            raise InputError(f"Expected max_usd above 0, got {self.max_usd}.")
        if self.search.is_search and self.target != "sagemaker":
            raise InputError(
                f"Expected target sagemaker for a search of {self.search.n_trials} trials, got {self.target!r}. "
                "`roadsense search` searches on this machine."
            )
        check_tags(self.tags)
        _check_machine(self)

    @property
    def is_cloud(self) -> bool:
        """Whether the job runs on AWS."""
        return self.target in CLOUD_TARGETS

    @property
    def notebook_name(self) -> str:
        """The notebook's name without folder and suffix."""
        return Path(self.notebook).stem

    @property
    def run_name(self) -> str:
        """Name of the training's run folder; a job that continues an earlier one uses the earlier job's folder."""
        return self.resume_of or self.name or ""

    @property
    def folder(self) -> Path:
        """Folder of a job on this machine."""
        return Path(self.output) / (self.name or "")

    @property
    def limit_s(self) -> int:
        """`max_hours` in seconds, rounded up: at least 1, because 0 would mean no limit."""
        return math.ceil(self.max_hours * 3600)


def name_job(spec: JobSpec) -> str:
    """Returns a new job name with the time and four random hexadecimal digits; a search gets a shorter one."""
    if spec.search.is_search:
        return f"{CLOUD_NAME}{datetime.now(UTC):%y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    words = re.sub(r"[^a-zA-Z0-9]+", "-", spec.notebook_name).strip("-")[:30].strip("-") or "notebook"
    return f"{CLOUD_NAME}{words}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def continue_spec(spec: JobSpec) -> JobSpec:
    """Returns the spec of a job that resumes one on SageMaker: a new name, as `<name>-2`, and the same checkpoints.

    Raises:
        InputError: for a search, whose trials have no checkpoints.
    """
    if spec.search.is_search:
        raise InputError("Expected a training to resume, got a search. Start a new one with warm_start_from.")
    first = spec.run_name
    number = int((spec.name or "").rpartition("-")[2]) + 1 if spec.resume_of else 2
    tail = f"-{number}"
    return replace(spec, name=first[: MAX_NAME - len(tail)].rstrip("-") + tail, resume_of=first)


def check_spec(spec: JobSpec) -> JobSpec:
    """Checks a spec against its notebook and dataset, and completes it. Nothing is started or sent.

    Returns:
        The spec with the notebook's path, the job's name and the machine type filled in. Seeds given as a parameter
        or in the search are in both.

    Raises:
        InputError: naming the field or the parameter, with what was expected.
        DatasetError: if the dataset is not what its manifest says.
    """
    notebook = find_notebook(spec.notebook)
    if spec.is_cloud and notebook.parent.name != NOTEBOOK_DIR:
        raise InputError(f"Expected a notebook of {NOTEBOOK_DIR}/, which the image holds, got {spec.notebook!r}.")
    if spec.search.is_search:
        spec = _share_seeds(spec)
    spec = replace(spec, parameters=read_values(notebook, spec.parameters))
    _check_run(spec, check_parameters(notebook, spec.parameters))
    _check_network(spec)
    check_settings(notebook, spec.parameters)
    if spec.is_cloud:
        refuse_secrets({**spec.parameters, **spec.tags})
    if spec.dataset is not None and not spec.dataset.startswith(S3):
        check_dataset(spec.dataset)
    return replace(
        spec,
        notebook=str(notebook),
        name=spec.name or name_job(spec),
        instance_type=spec.instance_type or INSTANCE_TYPES.get(spec.target),
    )


def spec_to_json(spec: JobSpec, path: Path) -> None:
    """Writes a spec to a file."""
    write_atomically(path, json.dumps(asdict(spec), indent=2) + "\n")


def spec_from_json(path: str | Path) -> JobSpec:
    """Reads a spec from a file; fields that are left out keep their defaults.

    Raises:
        InputError: if the file is missing, not JSON, or holds an unknown field.
    """
    return spec_from_values(read_json(Path(path), "a job's spec"), str(path))


def spec_from_values(values: Any, origin: str) -> JobSpec:
    """Builds a spec from JSON-like values.

    Raises:
        InputError: naming `origin`, if the values are not a spec.
    """
    _refuse_unknown(values, JobSpec, origin)
    if "notebook" not in values:
        raise InputError(f"{origin}: expected a job with a notebook, got none.")
    search = values.get("search") or {}
    _refuse_unknown(search, TuningConfig, f"{origin}, search")
    return JobSpec(**{**values, "search": TuningConfig(**search)})


def _refuse_unknown(values: Any, kind: type, origin: str) -> None:
    known = [item.name for item in fields(kind)]
    unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else [repr(values)]
    if unknown:
        raise InputError(f"{origin}: expected a job with fields of {known}, got {', '.join(unknown)}.")


def _share_seeds(spec: JobSpec) -> JobSpec:
    own, searched = TuningConfig(seeds=spec.parameters.get("seeds", ())).seeds, spec.search.seeds
    if own and searched and own != searched:
        raise InputError(f"Expected seeds once, got {own} of the training and {searched} of the search.")
    if not (own or searched):
        return spec
    seeds = searched or own
    parameters = {**spec.parameters, "seeds": list(seeds)}
    return replace(spec, parameters=parameters, search=replace(spec.search, seeds=seeds))


def _check_name(spec: JobSpec) -> None:
    longest = MAX_SEARCH_NAME if spec.search.is_search else MAX_NAME
    if spec.name is None:
        return
    if not NAME.fullmatch(spec.name) or len(spec.name) > longest:
        raise InputError(f"Expected name of letters, digits and single hyphens, at most {longest}, got {spec.name!r}.")
    if spec.is_cloud and not spec.name.startswith(CLOUD_NAME):
        raise InputError(
            f"Expected a name that begins with {CLOUD_NAME} for target {spec.target}, got {spec.name!r}: the policies "
            "in infra/iam allow no other."
        )


def _check_run(spec: JobSpec, known: Mapping[str, Parameter]) -> None:
    """Checks that a notebook which works on a run, and trains none, finds it on a machine of AWS."""
    run = str(spec.parameters.get("run_dir") or "")
    if spec.is_cloud and "run_dir" in known and "resume" not in known and not S3_URL.fullmatch(run):
        raise InputError(
            f"Expected run_dir of {spec.notebook_name} on S3 for target {spec.target}, such as the `model` folder or "
            f"the `model.tar.gz` that a job left, got {run!r}."
        )


def _check_network(spec: JobSpec) -> None:
    """Checks that a container without network needs nothing from S3 but what its target brings there."""
    for name, value in spec.parameters.items():
        if spec.target in ISOLATED and name != "run_dir" and S3 in str(value):
            raise InputError(
                f"Expected no URL as {name} for target {spec.target}, whose containers have no network, got {value!r}. "
                "Its dataset is given as the job's dataset."
            )


def _check_machine(spec: JobSpec) -> None:
    is_s3 = spec.output.startswith(S3)
    if spec.is_cloud and not S3_URL.fullmatch(spec.output):
        raise InputError(f"Expected output s3://bucket/prefix for target {spec.target}, got {spec.output!r}.")
    if not spec.is_cloud and (is_s3 or spec.spot):
        wrong = f"output {spec.output!r}" if is_s3 else "spot"
        raise InputError(f"Expected a folder as output, and no spot, for target {spec.target}, got {wrong}.")
    if spec.instance_type and spec.is_cloud and spec.instance_type.startswith("ml.") != (spec.target == "sagemaker"):
        raise InputError(
            f"Expected instance_type such as {INSTANCE_TYPES[spec.target]} for target {spec.target}, "
            f"got {spec.instance_type!r}."
        )
    if spec.dataset and spec.dataset.startswith(S3) and not DATASET_URL.fullmatch(spec.dataset):
        raise InputError(f"Expected dataset s3://bucket/prefix/datasets/<64 hex digits>, got {spec.dataset!r}.")
