"""Starting a planned machine: its image, its security group, and what to do when AWS has none."""

import re
from typing import Any

from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.ec2_plan import Plan
from roadsense.jobs.launch import (
    AMI_PARAMETERS,
    AMI_SEARCHES,
    SECURITY_GROUP,
    Ec2Config,
    build_group_request,
    choose_newest_ami,
)

HINTS = {
    "InsufficientInstanceCapacity": "AWS has none of these machines free now: try again, another type, or no spot.",
    "SpotMaxPriceTooLow": "The spot price is above max_usd's share: raise max_usd, or leave spot out.",
    "MaxSpotInstanceCountExceeded": "The account's quota of spot machines is used up: ask AWS to raise it.",
    "VcpuLimitExceeded": "The account's quota of virtual CPUs is used up: ask AWS to raise it, or take a smaller type.",
    "InstanceLimitExceeded": "The account's quota of machines is used up: ask AWS to raise it, or stop some.",
    "PendingVerification": "AWS is still verifying the account in this region: wait some hours.",
    "OptInRequired": "The account has not enabled this region or image.",
    "VPCIdNotSpecified": "The account has no default network here: set ROADSENSE_EC2_SUBNET_ID and _SECURITY_GROUP_ID.",
}
"""What to do about AWS's commonest reasons not to start a machine, by its code."""
NO_PROFILE = re.compile(r"(iam)? ?instance ?profile", re.IGNORECASE)
PROFILE_HINT = "Is the instance profile there, and may you pass it on? infra/iam says how it is made."


def find_ami(config: Ec2Config, region: str) -> str:
    """Returns the id of the image a machine starts from: the account's own, or the newest of its system.

    Raises:
        InputError: if there is none in this region.
    """
    if config.ami:
        return config.ami
    try:
        with translate_errors():
            answer = make_client("ssm", region).get_parameter(Name=AMI_PARAMETERS[config.system])
        return str(answer["Parameter"]["Value"])
    except CloudError as error:
        if error.code != "ParameterNotFound":
            raise
    owner, name = AMI_SEARCHES[config.system]
    filters = [{"Name": "name", "Values": [name]}, {"Name": "state", "Values": ["available"]}]
    with translate_errors():
        images = make_client("ec2", region).describe_images(Owners=[owner], Filters=filters)["Images"]
    found = choose_newest_ami(images)
    if found is None:
        raise InputError(f"Expected an image of {config.system} in {region}, found none. Set ROADSENSE_EC2_AMI.")
    return found


def prepare_group(region: str) -> None:
    """Makes the security group without an inbound rule in the default network, unless it is there.

    Raises:
        InputError: if somebody gave it an inbound rule.
    """
    client = make_client("ec2", region)
    with translate_errors():
        groups = client.describe_security_groups(Filters=[{"Name": "group-name", "Values": [SECURITY_GROUP]}])
        for group in groups["SecurityGroups"]:
            if group["IpPermissions"]:
                raise InputError(
                    f"Expected {SECURITY_GROUP} ({group['GroupId']}) to have no inbound rule, but it has "
                    f"{len(group['IpPermissions'])}. Remove them: a shell comes by Session Manager."
                )
        if not groups["SecurityGroups"]:
            client.create_security_group(**build_group_request())


def run_machine(plan: Plan) -> str:
    """Starts a planned machine and returns its id.

    Raises:
        CloudError: with what to do about it, if AWS doesn't start it.
    """
    region = plan.place.region
    request = plan.build_run_request(find_ami(plan.config, region))
    if not plan.config.subnet_id:
        prepare_group(region)
    try:
        with translate_errors():
            answer: dict[str, Any] = make_client("ec2", region).run_instances(**request)
    except CloudError as error:
        hint = HINTS.get(error.code) or (PROFILE_HINT if NO_PROFILE.search(str(error)) else "")
        raise CloudError(f"{error} {hint}".strip(), error.code) from error
    return str(answer["Instances"][0]["InstanceId"])
