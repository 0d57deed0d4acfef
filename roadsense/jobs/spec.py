"""A job: a notebook, its parameters and a machine."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from roadsense.cloud.session import find_owner
from roadsense.cloud.storage import check_dataset
from roadsense.errors import InputError
from roadsense.jobs.parameters import Parameter, check_parameters
from roadsense.jobs.spec_checks import NOTEBOOK_DIR, check_settings, find_notebook
from roadsense.utils.files import write_atomically

LOCAL_TARGETS = ("local", "docker")
CLOUD_TARGETS = ("ec2", "sagemaker")
INSTANCE_TYPES: Mapping[str, str] = {"ec2": "c6i.8xlarge", "sagemaker": "ml.c5.9xlarge"}
"""The machine of each cloud target, unless the spec names one."""
NAME = re.compile(r"[a-zA-Z0-9](-?[a-zA-Z0-9])*")
MAX_NAME = 63
S3 = "s3://"
S3_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?")
DATASET_URL = re.compile(S3_URL.pattern + r"(?<=/)datasets/[0-9a-f]{64}(/[^\s?#]*)?")
MAX_DAYS = 28  # SageMaker's longest job
KINDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("parameters", "tags"), (Mapping,)),
    **dict.fromkeys(("name", "image", "instance_type", "dataset", "region", "role"), (str, type(None))),
    "max_hours": (int, float),
    "max_usd": (int, float, type(None)),
    "spot": (bool,),
}
"""Types of the fields that are no plain text."""


@dataclass(frozen=True)
class JobSpec:
    """A notebook, its parameters and a machine.

    Attributes:
        notebook: its path, or its name in `notebooks` (`01_train`).
        parameters: by name, values of the notebook's types.
        target: `local`, `docker`, `ec2` or `sagemaker`.
        name: letters, digits and single hyphens, at most 63; by default `roadsense-<notebook>-<time>-<4 hex digits>`.
        image: tag of a Docker image, or URI of one in ECR.
        instance_type: the machine; by default `c6i.8xlarge` on EC2, `ml.c5.9xlarge` on SageMaker.
        dataset: folder of a whole dataset, or `s3://.../datasets/<digest>`.
        output: folder for the job's folder, or `s3://bucket/prefix`.
        max_hours: the job is ended after this, hours.
        max_usd: `max_hours` is cut to what this pays for, US dollars; a job that is estimated above it is refused.
        spot: whether to take spare capacity, cheaper, which may be taken back at any time. Cloud only.
        region: of AWS; by default the configured one.
        role: instance profile's name (EC2), or execution role's ARN (SageMaker).
        tags: your own, beside those every job gets.

    Example:
        >>> import roadsense as rs
        >>> spec = rs.JobSpec("01_train", {"seed": 1}, target="ec2", output="s3://bucket/prefix", max_hours=4)
        >>> spec.is_cloud
        True
    """

    notebook: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
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
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in fields(self):
            _check_type(item.name, getattr(self, item.name))
        if self.target not in LOCAL_TARGETS + CLOUD_TARGETS:
            raise InputError(f"Expected target of {', '.join(LOCAL_TARGETS + CLOUD_TARGETS)}, got {self.target!r}.")
        if self.name is not None and (not NAME.fullmatch(self.name) or len(self.name) > MAX_NAME):
            raise InputError(
                f"Expected name of letters, digits and single hyphens, at most {MAX_NAME} long, got {self.name!r}."
            )
        if not 0 < self.max_hours <= 24 * MAX_DAYS:
            raise InputError(f"Expected max_hours above 0 and at most {24 * MAX_DAYS}, got {self.max_hours}.")
        if self.max_usd is not None and not self.max_usd > 0:
            raise InputError(f"Expected max_usd above 0, got {self.max_usd}.")
        _check_tags(self.tags)
        _check_place(self)

    @property
    def is_cloud(self) -> bool:
        """Whether it runs on a machine of AWS."""
        return self.target in CLOUD_TARGETS

    @property
    def notebook_name(self) -> str:
        """The notebook's name without folder and suffix."""
        return Path(self.notebook).stem


def name_job(notebook: str) -> str:
    """Returns a new name for a job that runs a notebook, with the time and four random hexadecimal digits."""
    words = re.sub(r"[^a-zA-Z0-9]+", "-", Path(notebook).stem).strip("-")[:30].strip("-") or "notebook"
    return f"roadsense-{words}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def check_spec(spec: JobSpec) -> JobSpec:
    """Checks a spec against the notebook and the dataset it names, and completes it. Nothing is started or sent.

    Returns:
        The spec with the notebook's path, the job's name and its machine filled in.

    Raises:
        InputError: naming the field or the parameter, with what was expected.
        DatasetError: if the dataset is not what its manifest says.
    """
    notebook = find_notebook(spec.notebook)
    if spec.is_cloud and notebook.parent.name != NOTEBOOK_DIR:
        raise InputError(f"Expected a notebook of {NOTEBOOK_DIR}/, which the image holds, got {spec.notebook!r}.")
    _check_run(spec, check_parameters(notebook, spec.parameters))
    check_settings(notebook, spec.parameters)
    if spec.dataset is not None and not spec.dataset.startswith(S3):
        check_dataset(spec.dataset)
    return replace(
        spec,
        notebook=str(notebook),
        name=spec.name or name_job(spec.notebook),
        instance_type=spec.instance_type or INSTANCE_TYPES.get(spec.target),
    )


def make_tags(spec: JobSpec, deadline: datetime, facts: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags of everything that is created for a job.

    Args:
        spec: checked.
        deadline: when it ends at the latest, with its time zone.
        facts: further ones that are known, such as `dataset_digest` and `git_commit`; empty values are left out.
    """
    return {
        **spec.tags,
        "project": "roadsense",
        "roadsense:job": spec.name or "",
        "roadsense:owner": find_owner(),
        "roadsense:deadline": deadline.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        **{f"roadsense:{name.replace('_', '-')}": value for name, value in facts.items() if value},
    }


def spec_to_json(spec: JobSpec, path: Path) -> None:
    """Writes a spec to a file."""
    write_atomically(path, json.dumps(asdict(spec), indent=2) + "\n")


def spec_from_json(path: str | Path) -> JobSpec:
    """Reads a spec from a file; what is left out keeps its default.

    Raises:
        InputError: if the file is missing, not JSON, or holds a field that isn't known.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"Expected a job's spec at {path}, found none. Check the path.") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}).") from error
    return spec_from_values(values, str(path))


def spec_from_values(values: Any, origin: str) -> JobSpec:
    """Builds a spec from JSON-like values.

    Raises:
        InputError: naming `origin`, if they are no spec.
    """
    known = [item.name for item in fields(JobSpec)]
    unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else values
    if unknown or "notebook" not in values:
        raise InputError(f"{origin}: expected a job with a notebook and fields of {known}, got {unknown or 'none'}.")
    return JobSpec(**values)


def _check_type(name: str, value: Any) -> None:
    kinds = KINDS.get(name, (str,))
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise InputError(f"Expected {name} of a job to be {expected}, got {value!r}.")


def _check_run(spec: JobSpec, known: Mapping[str, Parameter]) -> None:
    """Checks that a notebook which works on a run, and trains none, can get at it."""
    run = str(spec.parameters.get("run_dir") or "")
    if spec.is_cloud and "run_dir" in known and "resume" not in known and not run.startswith(S3):
        raise InputError(
            f"Expected run_dir of {spec.notebook_name} on S3 for target {spec.target}, such as the `model` folder of a "
            f"finished job, got {run!r}."
        )


def _check_tags(tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        if not isinstance(value, str) or len(value) > 256 or not 0 < len(key) <= 128:
            raise InputError(f"Expected tags of texts, at most 128 and 256 long, got {key!r}: {value!r}.")
        if key == "project" or key.lower().startswith(("aws:", "roadsense:")):
            raise InputError(f"Expected tags of your own, got {key!r}, which is set for every job.")


def _check_place(spec: JobSpec) -> None:
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
