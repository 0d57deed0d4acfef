"""Builds the requests that start a training or a search on SageMaker, with the shapes of AWS's own `sagemaker` package.

They are shown, checked and sent exactly as built. The package takes seconds to import, so it is imported at first use.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roadsense.cloud.request_checks import find_violations
from roadsense.cloud.session import RequestError, find_region, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.inside.layout import CHANNEL, NAME_VARIABLE, RUN_CHANNEL, RUN_VARIABLE, job_environment
from roadsense.jobs.metric_series import METRICS, REGEXES
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import S3, JobSpec
from roadsense.jobs.tuning import TuningConfig
from roadsense.training.search_space import Choice, Range, SearchSpace

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

    def list_tags(self) -> list[Any]:
        """Returns the tags as shapes."""
        return [load_shapes().Tag(key=key, value=value) for key, value in self.tags.items()]


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


def build_training_request(spec: JobSpec, placement: Placement) -> Request:
    """Returns the request `CreateTrainingJob`.

    Results are uploaded below `<output>/jobs/<name>`: `output/model.tar.gz`, `output/output.tar.gz`, `checkpoints`. A
    job that resumes an earlier one has a new name, because SageMaker takes a name only once, and the old checkpoints.
    """
    shapes, checkpoints = load_shapes(), f"{spec.output.rstrip('/')}/jobs/{spec.run_name}/checkpoints"
    arguments = {
        "training_job_name": spec.name or "",
        "hyper_parameters": _encode(spec),
        "algorithm_specification": shapes.AlgorithmSpecification(**_build_algorithm(spec)),
        "checkpoint_config": shapes.CheckpointConfig(s3_uri=checkpoints, local_path=CHECKPOINT_DIR),
        "tags": placement.list_tags(),
        **_build_definition(spec, placement),
    }
    return Request("TrainingJob", arguments)


def build_tuning_request(spec: JobSpec, placement: Placement, space: SearchSpace | None = None) -> Request:
    """Returns the request `CreateHyperParameterTuningJob`; the limits of the spec are those of one trial.

    Trials have no checkpoints on S3: the request has one URL for all, so each trial would download those of all
    others. A trial whose spot machine is taken away starts again from the beginning.

    Raises:
        InputError: if a parameter is both given and searched.
    """
    ranges = (space or SearchSpace()).ranges()
    both = sorted(ranges.keys() & spec.parameters.keys())
    if both:
        raise InputError(f"Expected parameters that are not searched, got {both}. Leave them out of one of the two.")
    shapes = load_shapes()
    arguments = {
        "hyper_parameter_tuning_job_name": spec.name or "",
        "hyper_parameter_tuning_job_config": _build_search(spec.search, ranges),
        "training_job_definition": shapes.HyperParameterTrainingJobDefinition(
            static_hyper_parameters=_encode(spec),
            algorithm_specification=shapes.HyperParameterAlgorithmSpecification(**_build_algorithm(spec)),
            **_build_definition(spec, placement),
        ),
        "tags": placement.list_tags(),
    }
    if earlier := spec.search.warm_start_from:
        arguments["warm_start_config"] = shapes.HyperParameterTuningJobWarmStartConfig(
            parent_hyper_parameter_tuning_jobs=[
                shapes.ParentHyperParameterTuningJob(hyper_parameter_tuning_job_name=earlier)
            ],
            warm_start_type="IdenticalDataAndAlgorithm",
        )
    return Request("HyperParameterTuningJob", arguments)


def make_parameters(ranges: Mapping[str, Range | Choice]) -> dict[str, Any]:
    """Returns a search space as the parameters of the `sagemaker` package, by name."""
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    found: dict[str, Any] = {}
    for name, searched in ranges.items():
        if isinstance(searched, Choice):
            found[name] = CategoricalParameter([encode_value(value) for value in searched.values])
            continue
        scale = "Logarithmic" if searched.log else "Linear"
        if searched.whole:
            found[name] = IntegerParameter(math.floor(searched.low), math.floor(searched.high), scale)
        else:
            found[name] = ContinuousParameter(float(searched.low), float(searched.high), scale)
    return found


def build_ranges(ranges: Mapping[str, Range | Choice]) -> Any:
    """Returns a search space as the shape `ParameterRanges`; kinds without a range are left out."""
    from sagemaker.core.utils.utils import pascal_to_snake

    shapes, found = load_shapes(), dict[str, list[Any]]()
    for name, parameter in make_parameters(ranges).items():
        kind, fields = parameter.__name__, parameter.as_tuning_range(name)
        one = getattr(shapes, f"{kind}ParameterRange")(**{pascal_to_snake(key): value for key, value in fields.items()})
        found.setdefault(f"{kind.lower()}_parameter_ranges", []).append(one)
    return shapes.ParameterRanges(**found)


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


def _build_algorithm(spec: JobSpec) -> dict[str, Any]:
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


def _build_definition(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns what a training job and each trial of a search have in common."""
    shapes = load_shapes()
    left_out = (NAME_VARIABLE, RUN_VARIABLE if spec.search.is_search else "")  # SageMaker gives a job's name itself
    own = {name: text for name, text in job_environment(spec).items() if name not in left_out}
    facts = {f"ROADSENSE_JOB_{name.upper()}": value for name, value in placement.facts.items() if value}
    wait = {"max_wait_time_in_seconds": WAIT_FACTOR * spec.limit_s} if spec.spot else {}
    definition = {
        "environment": {**own, **facts},
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


def _encode(spec: JobSpec) -> dict[str, str]:
    return {name: encode_value(value) for name, value in spec.parameters.items()}


def _build_search(search: TuningConfig, ranges: Mapping[str, Range | Choice]) -> Any:
    if search.figure not in METRICS:
        raise InputError(f"Expected objective of {', '.join(METRICS)}, got {search.figure!r}.")
    shapes, stops = load_shapes(), search.early_stopping and search.strategy != "Hyperband"
    seed = {} if search.search_seed is None else {"random_seed": search.search_seed}
    return shapes.HyperParameterTuningJobConfig(
        strategy=search.strategy,
        hyper_parameter_tuning_job_objective=shapes.HyperParameterTuningJobObjective(
            type="Maximize", metric_name=search.figure
        ),
        resource_limits=shapes.ResourceLimits(
            max_number_of_training_jobs=search.n_trials, max_parallel_training_jobs=search.n_parallel
        ),
        parameter_ranges=build_ranges(ranges),
        training_job_early_stopping_type="Auto" if stops else "Off",
        **seed,
    )
