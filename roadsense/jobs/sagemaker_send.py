"""Sends the requests of `sagemaker_request` through the resource layer of the `sagemaker` package.

That package takes seconds to import, so it is imported here only, and only when something is sent. Its classes are
handed our request as it is: they add nothing to it and ask nothing else of AWS but the job's description.
"""

from collections.abc import Mapping
from typing import Any

from roadsense.cloud.request_checks import find_violations
from roadsense.cloud.session import RequestError, find_region, translate_errors
from roadsense.errors import InputError

FREE_KEYS = ("HyperParameters", "StaticHyperParameters", "Environment")
"""Members whose keys are the caller's own."""
RESOURCES: Mapping[str, str] = {
    "CreateTrainingJob": "TrainingJob",
    "CreateHyperParameterTuningJob": "HyperParameterTuningJob",
}


def check_request(operation: str, request: Mapping[str, Any]) -> None:
    """Checks a request against the service's own model: types, patterns, lengths, enumerations. Nothing is sent.

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
    """Sends a request that starts a job.

    Raises:
        RequestError: if it isn't one SageMaker takes.
        InputError: if the `sagemaker` package isn't installed.
        CloudError: if AWS refuses it.
    """
    check_request(operation, request)
    try:
        from sagemaker.core import resources
    except ImportError as error:
        raise InputError("Expected the package sagemaker, found none. pip install 'roadsense[cloud]'.") from error
    import boto3

    region = find_region(region)
    with translate_errors():
        resource = getattr(resources, RESOURCES[operation])
        resource.create(**to_arguments(request), session=boto3.Session(region_name=region), region=region)


def to_arguments(value: Any) -> Any:
    """Returns a request with its members' names as the resource layer spells them: `S3Uri` is `s3_uri`."""
    from sagemaker.core.utils.utils import pascal_to_snake

    if isinstance(value, Mapping):
        return {
            pascal_to_snake(key): dict(item) if key in FREE_KEYS else to_arguments(item) for key, item in value.items()
        }
    return [to_arguments(item) for item in value] if isinstance(value, list) else value
