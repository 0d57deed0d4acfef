"""Fills the missing settings of a job on AWS with examples, so that there is a request to look at."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from roadsense.cloud.session import find_region, translate_errors
from roadsense.errors import RoadSenseError
from roadsense.jobs.aws.sagemaker.role import find_execution_role
from roadsense.jobs.spec import CLOUD_TARGETS, S3

EXAMPLE_REGION = "eu-central-1"
EXAMPLES: Mapping[str, str] = {
    "output": "s3://your-bucket/roadsense",
    "image": f"123456789012.dkr.ecr.{EXAMPLE_REGION}.amazonaws.com/roadsense:your-tag",
}
"""Example values that fill missing settings in a dry run, so that there is a request to look at."""
EXAMPLE_ROLE = "arn:aws:iam::123456789012:role/your-execution-role"
WHERE_FROM: Mapping[str, str] = {
    "role": "the ARN of an execution role, by this parameter or ROADSENSE_SAGEMAKER_ROLE; Studio has one of its own",
    "output": "a bucket of yours and a prefix in it, where datasets and results go",
    "image": "the image's address in your ECR; `roadsense job image --push` builds and pushes one",
    "region": "a region of AWS, by this parameter or AWS_REGION",
    "dataset": "the folder of a dataset; notebook 00_augment makes one",
    "credentials": "for AWS, by `aws sso login`, a profile or the environment; `roadsense doctor --aws` checks them",
}


def complete(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Returns the fields of a spec without gaps, and one sentence for each setting that is missing.

    Args:
        given: fields of `JobSpec`; an empty text or None means that the field isn't given.
    """
    values = {name: value for name, value in given.items() if value not in ("", None)}
    missing = []
    if values.get("target") in CLOUD_TARGETS:
        missing = [name for name in EXAMPLES if name not in values]
        values = {**EXAMPLES, **values}
        region, role = values.get("region"), values.get("role")
        if region is not None:
            find_region(region)  # refuses one that cannot be
        elif not _is_found(find_region):
            missing.append("region")
            values["region"] = EXAMPLE_REGION
        if values["target"] == "sagemaker" and not _is_found(lambda: find_execution_role(role, region)):
            missing.append("role")
            values["role"] = EXAMPLE_ROLE
        missing += [] if _is_found(_find_credentials) else ["credentials"]
    dataset = str(values.get("dataset", ""))
    if dataset and not dataset.startswith(S3) and not Path(dataset).exists():
        missing.append("dataset")
        del values["dataset"]
    return values, [f"{name}: {WHERE_FROM[name]}." for name in missing]


def _find_credentials() -> Any:
    with translate_errors():
        import boto3

        return boto3.Session().get_credentials()


def _is_found(look: Callable[[], Any]) -> bool:
    try:
        return bool(look())
    except RoadSenseError:
        return False
