"""The request that generates a dataset on several machines at once, built by a pure function."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.layout import DEFAULT_ROOT
from roadsense.jobs.sagemaker_request import IMAGE, Placement, job_url, list_tags
from roadsense.jobs.shard_layout import DIGEST_VARIABLE, INPUT, OUTPUT
from roadsense.jobs.spec import JobSpec

PROCESSING = "CreateProcessingJob"
ENTRYPOINT = ("python", "-m", "roadsense.jobs.generate_shard")
MOST_MACHINES = 100
MOST_WORDS = 100
"""Arguments a container of a Processing job takes."""
MOST_HOURS = 9 * 24
NAME_START = "roadsense-"
"""Beginning of the names that policies allow, and by which Processing jobs are found: no search knows their tags."""


@dataclass(frozen=True)
class Generation:
    """What a job generates.

    Attributes:
        words: settings of the dataset, as `generation.spell_settings` spells them.
        inputs_url: base scenarios on S3, `.../bases/<digest>`.
        n_shards: machines.
    """

    words: Sequence[str]
    inputs_url: str
    n_shards: int

    def __post_init__(self) -> None:
        if not 1 <= self.n_shards <= MOST_MACHINES:
            raise InputError(f"Expected n_shards of 1 to {MOST_MACHINES}, got {self.n_shards}.")
        if len(self.words) > MOST_WORDS:
            raise InputError(
                f"Expected settings of at most {MOST_WORDS} words, got {len(self.words)}. Leave some at their default."
            )

    @property
    def digest(self) -> str:
        """The digest of the base scenarios."""
        return self.inputs_url.rstrip("/").rsplit("/", 1)[-1]


def build_processing_request(spec: JobSpec, placement: Placement, generation: Generation) -> dict[str, Any]:
    """Returns the request `CreateProcessingJob`.

    Each machine leaves its share at `<output>/jobs/<name>/shards/shard-<number>`.

    Args:
        spec: with its name, its machine and limits; its notebook is of no account.
        placement: role, tags and the like.
        generation: what is generated.

    Raises:
        InputError: if something of it cannot be sent.
    """
    _check(spec)
    return {
        "ProcessingJobName": spec.name or "",
        "ProcessingInputs": [_build_input(generation.inputs_url)],
        "ProcessingOutputConfig": {"Outputs": [_build_output(f"{job_url(spec)}/shards")]},
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": generation.n_shards,
                "InstanceType": spec.instance_type or "",
                "VolumeSizeInGB": placement.disk_gb,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": max(60, math.floor(spec.max_hours * 3600))},
        "AppSpecification": {
            "ImageUri": spec.image or "",
            "ContainerEntrypoint": list(ENTRYPOINT),
            **({"ContainerArguments": list(generation.words)} if generation.words else {}),
        },
        "Environment": {DIGEST_VARIABLE: generation.digest, **_name_facts(spec, placement.facts)},
        "NetworkConfig": {"EnableNetworkIsolation": placement.isolated},
        "RoleArn": placement.role,
        "Tags": list_tags(placement.tags),
    }


def _check(spec: JobSpec) -> None:
    if not spec.image or not IMAGE.fullmatch(spec.image):
        raise InputError(
            f"Expected image as the URI of one in ECR, with its tag or digest, got {spec.image!r}. "
            "`roadsense job image --push` builds and pushes one."
        )
    if not (spec.name or "").startswith(NAME_START):
        raise InputError(f"Expected a name that begins with {NAME_START}, got {spec.name!r}.")
    if spec.max_hours > MOST_HOURS:
        raise InputError(f"Expected max_hours of at most {MOST_HOURS} for a Processing job, got {spec.max_hours:g}.")
    if spec.spot:
        raise InputError("Expected no spot: SageMaker has no spare capacity for Processing jobs.")


def _build_input(url: str) -> dict[str, Any]:
    source = {
        "S3Uri": f"{url.rstrip('/')}/",
        "LocalPath": f"{DEFAULT_ROOT}/{INPUT}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": "FullyReplicated",
    }
    return {"InputName": "scenarios", "S3Input": source}


def _build_output(url: str) -> dict[str, Any]:
    place = {"S3Uri": url, "LocalPath": f"{DEFAULT_ROOT}/{OUTPUT}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": "shards", "S3Output": place}


def _name_facts(spec: JobSpec, facts: Mapping[str, str]) -> dict[str, str]:
    told = {"name": spec.name or "", "image": spec.image or "", **facts}
    return {f"ROADSENSE_JOB_{name.upper()}": value for name, value in told.items() if value}
