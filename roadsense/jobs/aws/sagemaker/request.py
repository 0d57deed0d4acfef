"""Builds the requests that start a job on SageMaker; they are shown, checked and sent exactly as returned.

Building them needs no AWS package. `send` passes them to the typed layer of the `sagemaker` package, whose codec
converts the names.
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
from roadsense.jobs.metric_series import METRICS
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import S3, JobSpec, TuningConfig
from roadsense.runs.metric_lines import PATTERN
from roadsense.training.search_space import Choice, Range, SearchSpace

CHECKPOINT_DIR = "/opt/ml/checkpoints"
DISK_GB = 30
WAIT_FACTOR = 2
"""Longest time of a spot job, as a multiple of its limit: it may wait for capacity as long as it may run."""
IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")
OF_A_JOB = (NAME_VARIABLE, RUN_VARIABLE)
"""Variables that a trial does not get, because SageMaker names each trial itself."""
RESOURCES = {"CreateTrainingJob": "TrainingJob", "CreateHyperParameterTuningJob": "HyperParameterTuningJob"}


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


def job_url(spec: JobSpec, name: str | None = None) -> str:
    """Returns the S3 URL of a job's folder."""
    return f"{spec.output.rstrip('/')}/jobs/{name or spec.name}"


def build_request(spec: JobSpec, placement: Placement, space: SearchSpace | None = None) -> tuple[str, dict[str, Any]]:
    """Returns the operation that starts a job, a training or a search, and its checked request.

    Args:
        spec: checked spec with its dataset on S3.
        placement: role, tags and facts.
        space: search space; by default that of `roadsense search`.

    Raises:
        InputError: if a part of the job cannot be sent.
    """
    if spec.search.is_search:
        operation, request = "CreateHyperParameterTuningJob", build_tuning_request(spec, placement, space)
    else:
        operation, request = "CreateTrainingJob", build_training_request(spec, placement)
    check_request(operation, request)
    return operation, request


def build_training_request(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns the request `CreateTrainingJob`.

    Results are uploaded below `<output>/jobs/<name>`: `output/model.tar.gz`, `output/output.tar.gz`, `checkpoints`. A
    job that resumes an earlier one has a new name, because SageMaker takes a name only once, and the old checkpoints.
    """
    return {
        "TrainingJobName": spec.name or "",
        "HyperParameters": {name: encode_value(value) for name, value in spec.parameters.items()},
        "Environment": {**job_environment(spec), **_name_facts(placement.facts)},
        "CheckpointConfig": {"S3Uri": f"{job_url(spec, spec.run_name)}/checkpoints", "LocalPath": CHECKPOINT_DIR},
        "Tags": list_tags(placement.tags),
        **_build_definition(spec, placement),
    }


def build_tuning_request(spec: JobSpec, placement: Placement, space: SearchSpace | None = None) -> dict[str, Any]:
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
    variables = {name: text for name, text in job_environment(spec).items() if name not in OF_A_JOB}
    request = {
        "HyperParameterTuningJobName": spec.name or "",
        "HyperParameterTuningJobConfig": _build_search(spec.search, ranges),
        "TrainingJobDefinition": {
            "StaticHyperParameters": {key: encode_value(value) for key, value in spec.parameters.items()},
            "Environment": {**variables, **_name_facts(placement.facts)},
            **_build_definition(spec, placement),
        },
        "Tags": list_tags(placement.tags),
    }
    if spec.search.warm_start_from:
        request["WarmStartConfig"] = {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": spec.search.warm_start_from}],
            "WarmStartType": "IdenticalDataAndAlgorithm",
        }
    return request


def build_ranges(ranges: Mapping[str, Range | Choice]) -> dict[str, list[dict[str, Any]]]:
    """Returns a search space as SageMaker's `ParameterRanges`; kinds without a range are left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, searched in ranges.items():
        if isinstance(searched, Choice):
            values = [encode_value(value) for value in searched.values]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": values})
            continue
        kind = "IntegerParameterRanges" if searched.whole else "ContinuousParameterRanges"
        low, high = (
            str(math.floor(edge)) if searched.whole else repr(float(edge)) for edge in (searched.low, searched.high)
        )
        scale = "Logarithmic" if searched.log else "Linear"
        found.setdefault(kind, []).append({"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scale})
    return found


def list_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Returns tags in AWS's list format."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


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


def send(operation: str, request: Mapping[str, Any], region: str | None) -> None:
    """Sends a request that starts a job, through the resource of the `sagemaker` package.

    That package takes seconds to import, so it is imported here only. It adds nothing to the request.

    Raises:
        InputError: if the `sagemaker` package isn't installed.
        CloudError: if AWS refuses the request.
    """
    check_request(operation, request)
    try:
        from sagemaker.core import resources
        from sagemaker.core.utils.code_injection.codec import transform
    except ImportError as error:
        raise InputError("Expected the package sagemaker, found none. pip install 'roadsense[sagemaker]'.") from error
    import boto3

    region = find_region(region)
    typed = transform(dict(request), f"{operation}Request")
    with translate_errors():
        getattr(resources, RESOURCES[operation]).create(
            **typed, session=boto3.Session(region_name=region), region=region
        )


def _build_definition(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns what a training job and each trial of a search have in common."""
    if not spec.image or not IMAGE.fullmatch(spec.image):
        raise InputError(
            f"Expected image as the URI of one in ECR, with its tag or digest, got {spec.image!r}. "
            "`roadsense job image --push` builds and pushes one."
        )
    stopping = {"MaxRuntimeInSeconds": spec.limit_s}
    if spec.spot:
        stopping["MaxWaitTimeInSeconds"] = WAIT_FACTOR * spec.limit_s
    request = {
        "AlgorithmSpecification": {
            "TrainingImage": spec.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": PATTERN.format(name=name)} for name in METRICS],
        },
        "RoleArn": placement.role,
        "OutputDataConfig": {"S3OutputPath": f"{spec.output.rstrip('/')}/jobs", "CompressionType": "GZIP"},
        "ResourceConfig": {"InstanceType": spec.instance_type or "", "InstanceCount": 1, "VolumeSizeInGB": DISK_GB},
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": spec.spot,
        "EnableNetworkIsolation": True,  # SageMaker itself copies data and results
    }
    channels = _build_channels(spec)
    return {**request, "InputDataConfig": channels} if channels else request


def _build_channels(spec: JobSpec) -> list[dict[str, Any]]:
    """Returns the inputs: the dataset, and the run that a notebook works on, as a folder or a job's archive."""
    if spec.dataset and not spec.dataset.startswith(S3):
        raise InputError(f"Expected dataset as s3://..., got {spec.dataset!r}. Publish it first.")
    run = str(spec.parameters.get("run_dir") or "")
    urls = {CHANNEL: spec.dataset or "", RUN_CHANNEL: run if run.startswith(S3) else ""}
    return [
        {
            "ChannelName": name,
            "InputMode": "File",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": url if url.endswith(".tar.gz") else url.rstrip("/") + "/",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
        for name, url in urls.items()
        if url
    ]


def _build_search(search: TuningConfig, ranges: Mapping[str, Range | Choice]) -> dict[str, Any]:
    if search.figure not in METRICS:
        raise InputError(f"Expected objective of {', '.join(METRICS)}, got {search.figure!r}.")
    stops = search.early_stopping and search.strategy != "Hyperband"
    content: dict[str, Any] = {
        "Strategy": search.strategy,
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": search.figure},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": search.n_trials,
            "MaxParallelTrainingJobs": search.n_parallel,
        },
        "ParameterRanges": build_ranges(ranges),
        "TrainingJobEarlyStoppingType": "Auto" if stops else "Off",
    }
    return content if search.search_seed is None else {**content, "RandomSeed": search.search_seed}


def _name_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that a run's manifest records."""
    return {f"ROADSENSE_JOB_{name.upper()}": value for name, value in facts.items() if value}
