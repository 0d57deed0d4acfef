"""Plans and starts the machine of a job on EC2: the plan fixes script, tags, price and requests.

`RunInstances` starts the machine, and not a launcher such as SkyPilot, which would need a server, an open SSH port
and more rights than the policies in `infra/iam`.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roadsense.cloud.session import CloudError, find_region, make_client, translate_errors
from roadsense.cloud.storage import find_dataset_url
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.folder import SPEC_NAME, JobFolder
from roadsense.jobs.aws.ec2.machines import DEADLINE_TAG, HOURS_TAG, PLACE_TAG, PRICE_TAG
from roadsense.jobs.aws.ec2.requests import (
    SECURITY_GROUP,
    Ec2Config,
    build_group_request,
    build_run_request,
)
from roadsense.jobs.aws.ec2.user_data import MachineSettings, encode_parameters, write_user_data
from roadsense.jobs.aws.prices import Estimate, estimate_cost, limit_spot_price, limit_to_money
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import JobSpec, check_spec
from roadsense.jobs.tags import make_tags
from roadsense.jobs.target import Plan
from roadsense.utils.git_state import read_git_state
from roadsense.utils.times import write_time

GRACE_S = 600
"""Time from the job's limit until the machine ends, seconds: a checkpoint within 90 s, then uploads up to 20 GB."""
RUN_DOCKER = "run_docker.sh"
MAX_TAG = 256
"""Longest value of a tag on AWS, characters; the machine has the job's folder as one."""
HINTS = {
    "InsufficientInstanceCapacity": "AWS has none of these machines free now: try again, another type, or no spot.",
    "SpotMaxPriceTooLow": "The spot price is above what max_usd allows: raise max_usd, or leave spot out.",
    "MaxSpotInstanceCountExceeded": "The account's quota of spot machines is used up: ask AWS to raise it.",
    "VcpuLimitExceeded": "The account's quota of virtual CPUs is used up: ask AWS to raise it, or take a smaller type.",
    "AuthFailure.ServiceLinkedRoleCreationNotPermitted": "The account never had a spot machine. An administrator runs: "
    "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    "VPCIdNotSpecified": "The account has no default network here: set ROADSENSE_EC2_SUBNET_ID and _SECURITY_GROUP_ID.",
}
"""What to do if AWS does not start a machine, by AWS's most common error codes."""
NO_PROFILE = re.compile(r"(iam)? ?instance ?profile", re.IGNORECASE)
PROFILE_HINT = "Is the instance profile there, and may you pass it on? infra/iam says how it is made."


def plan_machine(
    spec: JobSpec, config: Ec2Config, ask: bool = False, workstation: Mapping[str, Any] | None = None
) -> Plan:
    """Plans a job's machine.

    Args:
        spec: checked spec.
        config: the account's settings.
        ask: whether to ask AWS for prices. Nothing else is sent.
        workstation: settings that only a workstation has; None for a job, whose machine ends with it.

    Raises:
        InputError: if the spec names no image, or its limits of time and money contradict each other.
    """
    if spec.name is None or spec.instance_type is None:
        spec = check_spec(spec)
    if not spec.image:
        raise InputError("Expected an image for target ec2, e.g. the URI in ECR that it was pushed to. Give --image.")
    region = find_region(spec.region)
    spec = replace(spec, region=region)
    limited, estimate = _limit(spec, config, ask)
    folder = JobFolder(f"{spec.output.rstrip('/')}/jobs/{spec.name}", region)
    if len(folder.url) > MAX_TAG:
        raise InputError(f"Expected an output whose job folders have at most {MAX_TAG} characters, got {folder.url!r}.")
    kind = "job" if workstation is None else "workstation"
    settings = replace(_settings(limited, config, folder, estimate), **(workstation or {}))
    script, tags, token = write_user_data(settings, kind), _tags(limited, folder, estimate), secrets.token_hex(16)
    request = build_run_request(limited, config, script, tags, token, limit_spot_price(limited, estimate))
    if workstation is not None and not spec.spot:
        request["InstanceInitiatedShutdownBehavior"] = "stop"  # it keeps its disk
    local_dataset = spec.dataset if spec.dataset and spec.dataset != limited.dataset else ""
    sent = [f"{limited.dataset}/, the files it lacks"] if local_dataset else []
    sent += [f"{folder.url}/{RUN_DOCKER}"] if workstation is not None else []
    return Plan(
        spec=limited,
        job_id=folder.url,
        calls=_list_calls([*sent, f"{folder.url}/{SPEC_NAME}"], region, request),
        price=_describe_price(spec, estimate),
        local_dataset=local_dataset,
        request=request,
    )


def open_folder(plan: Plan) -> JobFolder:
    """Returns the S3 folder of a planned job."""
    return JobFolder(plan.job_id, find_region(plan.spec.region))


def run_machine(plan: Plan) -> str:
    """Starts a planned machine and returns its id.

    Raises:
        CloudError: if AWS doesn't start the machine; the message says what to do.
    """
    if "SecurityGroups" in plan.request:  # ours, in the default network
        prepare_group(plan.spec.region)
    try:
        with translate_errors():
            answer: dict[str, Any] = make_client("ec2", plan.spec.region).run_instances(**plan.request)
    except CloudError as error:
        hint = HINTS.get(error.code) or (PROFILE_HINT if NO_PROFILE.search(str(error)) else "")
        raise CloudError(f"{error} {hint}".strip(), error.code) from error
    return str(answer["Instances"][0]["InstanceId"])


def prepare_group(region: str | None) -> None:
    """Makes the security group without an inbound rule in the default network, unless it exists.

    Raises:
        InputError: if the existing group has an inbound rule.
    """
    client = make_client("ec2", region)
    with translate_errors():
        groups = client.describe_security_groups(Filters=[{"Name": "group-name", "Values": [SECURITY_GROUP]}])
        for group in groups["SecurityGroups"]:
            if group["IpPermissions"]:
                raise InputError(
                    f"Expected {SECURITY_GROUP} ({group['GroupId']}) to have no inbound rule, but it has "
                    f"{len(group['IpPermissions'])}. Remove them: a shell is opened by Session Manager."
                )
        if not groups["SecurityGroups"]:
            client.create_security_group(**build_group_request())
            client.get_waiter("security_group_exists").wait(GroupNames=[SECURITY_GROUP])  # seconds, on AWS


def _limit(spec: JobSpec, config: Ec2Config, ask: bool) -> tuple[JobSpec, Estimate | None]:
    """Returns the spec with `max_hours` limited by `max_usd` and the dataset on S3, and the highest cost."""
    extra_hours = GRACE_S / 3600
    estimate = estimate_cost(spec, config.disk_gb, ask, extra_hours)
    limited = limit_to_money(spec, estimate, extra_hours)
    limited = replace(limited, dataset=find_dataset_url(spec.dataset, spec.output) or None)
    if estimate is not None:
        hours = limited.limit_s / 3600 + extra_hours
        estimate = replace(estimate, hours=hours, usd=estimate.usd_per_hour * hours)
    return limited, estimate


def _describe_price(spec: JobSpec, estimate: Estimate | None) -> str:
    """Returns the price in words; for spare capacity it is a bound only with `max_usd`, which limits its price."""
    text = str(estimate or "price unknown")
    return text.replace("at most", "today about") if spec.spot and spec.max_usd is None else text


def _list_calls(sent: Sequence[str], region: str, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    calls: list[dict[str, Any]] = [{"service": "s3", "operation": "PutObject", "what": each} for each in sent]
    if "SecurityGroups" in request:
        group = {"service": "ec2", "operation": "CreateSecurityGroup", "request": build_group_request()}
        calls.append({**group, "what": "unless it is there"})
    return [*calls, {"service": "ec2", "operation": "RunInstances", "region": region, "request": request}]


def _settings(spec: JobSpec, config: Ec2Config, folder: JobFolder, estimate: Estimate | None) -> MachineSettings:
    return MachineSettings(
        job=spec.name or "",
        place=folder.url,
        image=spec.image or "",
        region=folder.region,
        limit_s=spec.limit_s,
        grace_s=GRACE_S,
        notebook=spec.notebook_name,
        dataset=spec.dataset or "",
        parameters=encode_parameters({name: encode_value(value) for name, value in spec.parameters.items()}),
        usd_per_hour=f"{estimate.usd_per_hour:.4f}" if estimate else "",
        system=config.system,
        spot="yes" if spec.spot else "no",
    )


def _tags(spec: JobSpec, folder: JobFolder, estimate: Estimate | None) -> dict[str, str]:
    digest = (spec.dataset or "").rstrip("/").rsplit("/", 1)[-1]
    deadline = datetime.now(UTC) + timedelta(seconds=spec.limit_s + GRACE_S)
    tags = make_tags(
        spec.name or "", spec.tags, deadline, {"dataset_digest": digest, "git_commit": read_git_state().commit}
    )
    tags |= {
        DEADLINE_TAG: write_time(deadline),
        PLACE_TAG: folder.url,
        HOURS_TAG: f"{(spec.limit_s + GRACE_S) / 3600:.4f}",
    }
    return tags | ({PRICE_TAG: f"{estimate.usd_per_hour:.4f}"} if estimate else {})
