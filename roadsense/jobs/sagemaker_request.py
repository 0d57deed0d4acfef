"""The requests that start a job on SageMaker, built by pure functions: what they return is what is sent."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.layout import CHANNEL, job_environment
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import JobSpec
from roadsense.runs.metric_lines import PATTERN

CHECKPOINT_DIR = "/opt/ml/checkpoints"
DEFAULT_DISK_GB = 30
WAIT_FACTOR = 2
"""A spot job may wait for capacity as long as it may run, so that both together take this many times its limit."""
METRICS = (
    "eval_score", "experiment_score", "experiment_worst_score", "timesteps", "steps_per_s", "reward_mean",
    "collision_rate", "min_ttc_median_s", "false_braking_share", "eval_timesteps", "eval_collision_rate",
    "eval_collision_rate_low", "eval_collision_rate_high", "eval_false_braking_share", "eval_min_ttc_median_s",
)  # fmt: skip
"""Figures whose lines SageMaker reads from a job's output; see `roadsense.runs.metric_lines`."""
IMAGE = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/[a-z0-9._/-]+(:[\w.-]+|@sha256:[0-9a-f]{64})")
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+")


@dataclass(frozen=True)
class Placement:
    """What a SageMaker job needs beside its spec.

    Attributes:
        role: ARN of the execution role.
        tags: of everything that is created for the job.
        disk_gb: size of the machine's disk, GB.
        isolated: whether the container has no network; SageMaker itself moves data and results.
        facts: what the run's manifest is told: `image_digest`, `dataset_url`, `git_commit`.
    """

    role: str
    tags: Mapping[str, str]
    disk_gb: int = DEFAULT_DISK_GB
    isolated: bool = True
    facts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not ROLE.fullmatch(self.role):
            raise InputError(f"Expected role as the ARN of an execution role, arn:aws:iam::..., got {self.role!r}.")
        if not 5 <= self.disk_gb <= 1024:
            raise InputError(f"Expected disk_gb of 5 to 1024, got {self.disk_gb}.")


def job_url(spec: JobSpec) -> str:
    """Returns where on S3 everything of a job lies."""
    return f"{spec.output.rstrip('/')}/jobs/{spec.name}"


def build_training_request(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns the request `CreateTrainingJob`.

    Results arrive below `<output>/jobs/<name>`: `output/model.tar.gz`, `output/output.tar.gz` and `checkpoints`.

    Args:
        spec: checked, with its name, its machine and an `s3://` dataset.
        placement: role, tags and the like.

    Raises:
        InputError: if something of it cannot be sent.
    """
    return {
        "TrainingJobName": spec.name or "",
        "HyperParameters": {name: encode_value(value) for name, value in spec.parameters.items()},
        "Environment": {**job_environment(spec), **name_facts(placement.facts)},
        "CheckpointConfig": {"S3Uri": f"{job_url(spec)}/checkpoints", "LocalPath": CHECKPOINT_DIR},
        "Tags": list_tags(placement.tags),
        **build_definition(spec, placement),
    }


def build_definition(spec: JobSpec, placement: Placement) -> dict[str, Any]:
    """Returns what a training job and each trial of a tuning job have in common."""
    if not spec.image or not IMAGE.fullmatch(spec.image):
        raise InputError(
            f"Expected image as the URI of one in ECR, with its tag or digest, got {spec.image!r}. "
            "`roadsense job image --push` builds and pushes one."
        )
    limit_s = max(60, math.floor(spec.max_hours * 3600))
    stopping = {"MaxRuntimeInSeconds": limit_s}
    if spec.spot:
        stopping["MaxWaitTimeInSeconds"] = WAIT_FACTOR * limit_s
    request = {
        "AlgorithmSpecification": {
            "TrainingImage": spec.image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": PATTERN.format(name=name)} for name in METRICS],
        },
        "RoleArn": placement.role,
        "OutputDataConfig": {"S3OutputPath": f"{spec.output.rstrip('/')}/jobs"},
        "ResourceConfig": {
            "InstanceType": spec.instance_type or "",
            "InstanceCount": 1,
            "VolumeSizeInGB": placement.disk_gb,
        },
        "StoppingCondition": stopping,
        "EnableManagedSpotTraining": spec.spot,
        "EnableNetworkIsolation": placement.isolated,
    }
    if spec.dataset:
        if not spec.dataset.startswith("s3://"):
            raise InputError(f"Expected dataset as s3://..., got {spec.dataset!r}. Publish it first.")
        request["InputDataConfig"] = [_build_channel(spec.dataset)]
    return request


def list_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Returns tags as AWS lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def check_limits(request: Mapping[str, Any]) -> None:
    """Checks what no model of the service says: waiting against running time, and that it comes with spot only.

    Raises:
        InputError: naming the fields.
    """
    stopping, spot = request["StoppingCondition"], request.get("EnableManagedSpotTraining", False)
    waits = "MaxWaitTimeInSeconds" in stopping
    if waits != spot:
        raise InputError("Expected MaxWaitTimeInSeconds with spot and only with it.")
    if waits and stopping["MaxWaitTimeInSeconds"] < stopping["MaxRuntimeInSeconds"]:
        raise InputError(f"Expected MaxWaitTimeInSeconds of at least MaxRuntimeInSeconds, got {stopping}.")
    if spot and "CheckpointConfig" not in request and "HyperParameters" in request:
        raise InputError("Expected CheckpointConfig with spot: without, an interrupted job begins anew.")


def _build_channel(url: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": url.rstrip("/") + "/", "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": CHANNEL, "InputMode": "File", "DataSource": {"S3DataSource": source}}


def name_facts(facts: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that tell a run's manifest what it comes from."""
    return {f"ROADSENSE_JOB_{name.upper()}": value for name, value in facts.items() if value}
