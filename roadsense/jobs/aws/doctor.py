"""Checks an AWS account for jobs, and says what is missing and what to do: `roadsense doctor --aws`."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from roadsense.cloud.session import AccessError, CloudError, find_region, make_client, translate_errors
from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.aws.ec2.requests import read_config
from roadsense.jobs.aws.sagemaker.role import find_execution_role
from roadsense.jobs.target import JobError
from roadsense.utils.finding import MISSING, OK, UNKNOWN, Finding

TEMPLATE = "infra/roadsense.template.json"
DEPLOY = (
    f"Set it up: aws cloudformation deploy --template-file {TEMPLATE} --stack-name roadsense "
    "--capabilities CAPABILITY_NAMED_IAM"
)
QUOTAS = {
    "ml.c5.9xlarge": ("sagemaker", "ml.c5.9xlarge for training job usage"),
    "c6i.8xlarge": ("ec2", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
}
"""Service and name of the quota for each default machine."""


def examine_account(
    bucket: str | None = None, repository: str = "roadsense", role: str | None = None, region: str | None = None
) -> Iterator[Finding]:
    """Yields a finding for everything that a job on AWS needs; nothing is changed.

    If credentials or a region are missing, this is the only finding.

    Args:
        bucket: bucket for datasets and results.
        repository: repository for images in ECR.
        role: execution role's ARN; by default the environment's or Studio's.
        region: AWS region; by default the configured one.
    """
    try:
        region = find_region(region)
        with translate_errors():
            caller = make_client("sts", region).get_caller_identity()["Arn"]
    except RoadSenseError as error:
        yield Finding("credentials", MISSING, str(error))
        return
    yield Finding("credentials", OK, f"{caller} in {region}")

    def client(service: str) -> Any:
        return make_client(service, region, patient=False)

    profile = read_config().profile
    yield _check("bucket", lambda: _find_bucket(client("s3"), bucket), DEPLOY)
    yield _check("image", lambda: _find_images(client("ecr"), repository), "Push one: `roadsense job image --push`.")
    yield _check("execution role (SageMaker)", lambda: _find_role(client("iam"), role, region), DEPLOY)
    yield _check("instance profile (EC2)", lambda: _find_profile(client("iam"), profile), DEPLOY)
    for machine, (service, name) in QUOTAS.items():
        mend = f"Ask for more of '{name}' in the Service Quotas console, service {service}."
        yield _check(f"quota of {machine}", partial(_find_quota, client, service, name), mend)


def _check(what: str, look: Callable[[], str], mend: str) -> Finding:
    try:
        with translate_errors():
            return Finding(what, OK, look())
    except AccessError as error:
        return Finding(what, UNKNOWN, f"these credentials may not look ({error})")
    except (InputError, CloudError, JobError) as error:
        return Finding(what, MISSING, f"{error}. {mend}")


def _find_bucket(s3: Any, bucket: str | None) -> str:
    if not bucket:
        raise InputError("none was named; give --bucket")
    s3.head_bucket(Bucket=bucket)
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    if not all(blocked.values()):
        raise JobError(f"{bucket} may be opened to the public")
    return f"{bucket}, closed to the public"


def _find_images(ecr: Any, repository: str) -> str:
    settings = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    images = ecr.describe_images(repositoryName=repository)["imageDetails"]
    tags = sorted(tag for image in images for tag in image.get("imageTags", []))
    if not tags:
        raise JobError(f"{settings['repositoryUri']} holds no image with a tag")
    return f"{settings['repositoryUri']} with {len(images)} images, tags {settings['imageTagMutability'].lower()}"


def _find_role(iam: Any, role: str | None, region: str) -> str:
    arn = find_execution_role(role, region)
    trust = iam.get_role(RoleName=arn.rsplit("/", 1)[-1])["Role"]["AssumeRolePolicyDocument"]
    services = [statement.get("Principal", {}).get("Service", []) for statement in trust["Statement"]]
    if not any("sagemaker.amazonaws.com" in service for service in services):
        raise JobError(f"{arn} cannot be taken by sagemaker.amazonaws.com")
    return arn


def _find_profile(iam: Any, profile: str) -> str:
    roles = iam.get_instance_profile(InstanceProfileName=profile)["InstanceProfile"]["Roles"]
    if not roles:
        raise JobError(f"{profile} has no role")
    return f"{profile} with the role {roles[0]['RoleName']}"


def _find_quota(client: Callable[[str], Any], service: str, name: str) -> str:
    pages = client("service-quotas").get_paginator("list_service_quotas").paginate(ServiceCode=service)
    value = next((each["Value"] for page in pages for each in page["Quotas"] if each["QuotaName"] == name), None)
    if value is None:
        raise JobError(f"AWS lists no quota named '{name}'")
    if value < 1:
        raise JobError(f"it is {value:g}, so no such machine can start")
    return f"{value:g} ({name})"
