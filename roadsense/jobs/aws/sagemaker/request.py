"""Builds the requests that start a job on SageMaker, with the shapes of AWS's own `sagemaker` package.

They are shown, checked and sent exactly as built. The package takes seconds to import, so it is imported at first use.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roadsense.cloud.request_checks import find_violations
from roadsense.cloud.session import RequestError, find_region, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.inside.layout import CHANNEL, RUN_CHANNEL, job_environment
from roadsense.jobs.metric_series import REGEXES
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import S3, JobSpec

CHECKPOINT_DIR = "/opt/ml/checkpoints"
DISK_GB = 30
WAIT_FACTOR = 2
"""Longest time of a spot job, as a multiple of its limit: it may wait for capacity as long as it may run."""
IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


@dataclass(frozen=True)
class Placement:
    """Settings that a SageMaker job needs in addition to its spec.

    Attributes:
        role: ARN of the execution role.
        tags: tags for everything that is created for the job.
        facts: facts for the run's manifest, by name.
    """

    role: str
    tags: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not ROLE.fullmatch(self.role):
            raise InputError(f"Expected role as the ARN of an execution role, arn:aws:iam::..., got {self.role!r}.")


@dataclass(frozen=True)
class Request:
    """A request that starts a job.

    Attributes:
        resource: class of `sagemaker.core.resources` that the job becomes.
        arguments: arguments of its `create`, by name, as text, numbers and shapes of `sagemaker.core.shapes`.
    """

    resource: str
    arguments: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """Name of the API operation."""
        return f"Create{self.resource}"

    @property
    def content(self) -> dict[str, Any]:
        """The request as it is sent, JSON-like; the package leaves out false and empty values in its shapes."""
        from sagemaker.core.utils.utils import serialize, snake_to_pascal

        return serialize({snake_to_pascal(name): value for name, value in self.arguments.items()})

    def send(self, region: str | None) -> None:
        """Sends it through the resource of the `sagemaker` package, exactly as it is.

        Raises:
            CloudError: if AWS refuses it.
        """
        import boto3
        from sagemaker.core import resources

        region = find_region(region)
        session = boto3.Session(region_name=region)
        # The package would add what a file of defaults on this machine gives, and nobody would have seen it.
        session.events.register(f"provide-client-params.sagemaker.{self.operation}", lambda **_: self.content)
        # `resources` has another class `Tag`, with the same fields, than `shapes`.
        arguments = {**self.arguments, "tags": [tag.model_dump() for tag in self.arguments["tags"]]}
        with translate_errors():
            getattr(resources, self.resource).create(**arguments, session=session, region=region)


def load_shapes() -> Any:
    """Returns the module `sagemaker.core.shapes`.

    Raises:
        InputError: if the package `sagemaker` is not installed.
    """
    try:
        from sagemaker.core import shapes
    except ImportError as error:
        raise InputError("Expected the package sagemaker, found none. pip install 'roadsense[sagemaker]'.") from error
    return shapes


def job_url(spec: JobSpec, name: str | None = None) -> str:
    """Returns the S3 URL of a job's folder."""
    return f"{spec.output.rstrip('/')}/jobs/{name or spec.name}"


def build_training_request(spec: JobSpec, placement: Placement) -> Request:
    """Returns the request `CreateTrainingJob`.

    Results are uploaded below `<output>/jobs/<name>`: `output/model.tar.gz`, `output/output.tar.gz`, `checkpoints`. A
    job that resumes an earlier one has a new name, because SageMaker takes a name only once, and the old checkpoints.
    """
    shapes, checkpoints = load_shapes(), f"{job_url(spec, spec.run_name)}/checkpoints"
    arguments = {
        "training_job_name": spec.name or "",
        "hyper_parameters": encode(spec.parameters),
        "environment": {**job_environment(spec), **name_facts(placement.facts)},
        "algorithm_specification": shapes.AlgorithmSpecification(**build_algorithm(spec)),
        "checkpoint_config": shapes.CheckpointConfig(s3_uri=checkpoints, local_path=CHECKPOINT_DIR),
        "tags": list_tags(placement.tags),
        **build_definition(spec, placement),
    }
    return Request("TrainingJob", arguments)


def check_request(operation: str, request: Mapping[str, Any]) -> None:
    """Checks a request against the service's own model: types, patterns, lengths. Nothing is sent.

    Raises:
        RequestError: with a line for each violation.
    """
    with translate_errors():
        import botocore.session
        from botocore.validate import ParamValidator

        shape = botocore.session.get_session().get_service_model("sagemaker").operation_model(operation).input_shape
        report = ParamValidator().validate(dict(request), shape)
    lines = [f"{operation}{line}" for line in find_violations(shape, dict(request))]
    if report.has_errors():
        lines.append(report.generate_report())
    if lines:
        raise RequestError("SageMaker would refuse this request, nothing was sent.\n" + "\n".join(lines))


def build_algorithm(spec: JobSpec) -> dict[str, Any]:
    """Returns the fields of a job's algorithm: its image, and the expressions that find its figures in its log.

    Raises:
        InputError: if the image is not one in ECR.
    """
    if not spec.image or not IMAGE.fullmatch(spec.image):
        raise InputError(
            f"Expected image as the URI of one in ECR, with its tag or digest, got {spec.image!r}. "
            "`roadsense job image --push` builds and pushes one."
        )
    definition = load_shapes().MetricDefinition
    metrics = [definition(name=name, regex=regex) for name, regex in REGEXES.items()]
    return {"training_image": spec.image, "training_input_mode": "File", "metric_definitions": metrics}


def build_definition(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns what a training job and each trial of a search have in common."""
    shapes = load_shapes()
    wait = {"max_wait_time_in_seconds": WAIT_FACTOR * spec.limit_s} if spec.spot else {}
    definition = {
        "role_arn": placement.role,
        "output_data_config": shapes.OutputDataConfig(
            s3_output_path=f"{spec.output.rstrip('/')}/jobs", compression_type="GZIP"
        ),
        "resource_config": shapes.ResourceConfig(
            instance_type=spec.instance_type or "", instance_count=1, volume_size_in_gb=DISK_GB
        ),
        "stopping_condition": shapes.StoppingCondition(max_runtime_in_seconds=spec.limit_s, **wait),
        "enable_managed_spot_training": spec.spot,
        "enable_network_isolation": True,  # SageMaker itself copies data and results
    }
    channels = _build_channels(spec)
    return {**definition, "input_data_config": channels} if channels else definition


def _build_channels(spec: JobSpec) -> list[Any]:
    """Returns the inputs: the dataset, and the run that a notebook works on, as a folder or a job's archive."""
    if spec.dataset and not spec.dataset.startswith(S3):
        raise InputError(f"Expected dataset as s3://..., got {spec.dataset!r}. Publish it first.")
    shapes, run = load_shapes(), str(spec.parameters.get("run_dir") or "")
    urls = {CHANNEL: spec.dataset or "", RUN_CHANNEL: run if run.startswith(S3) else ""}
    sources = {
        name: shapes.S3DataSource(
            s3_data_type="S3Prefix",
            s3_uri=url if url.endswith(".tar.gz") else url.rstrip("/") + "/",
            s3_data_distribution_type="FullyReplicated",
        )
        for name, url in urls.items()
        if url
    }
    return [
        shapes.Channel(channel_name=name, input_mode="File", data_source=shapes.DataSource(s3_data_source=source))
        for name, source in sources.items()
    ]


def encode(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Returns a notebook's parameters as SageMaker's hyperparameters, which are texts."""
    return {name: encode_value(value) for name, value in parameters.items()}


def list_tags(tags: Mapping[str, str]) -> list[Any]:
    """Returns tags as shapes."""
    tag = load_shapes().Tag
    return [tag(key=key, value=value) for key, value in tags.items()]


def name_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that a run's manifest records."""
    return {f"ROADSENSE_JOB_{name.upper()}": value for name, value in facts.items() if value}
