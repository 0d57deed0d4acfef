"""The requests that start a machine on EC2, built by pure functions; they are sent exactly as returned."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.spec import JobSpec

PREFIX = "ROADSENSE_EC2_"
AMI_PARAMETERS: Mapping[str, str] = {
    "ubuntu": "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    "al2023": "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
}
"""Parameter with AWS's newest image of each system; EC2 looks it up when the machine starts."""
ROOT_DEVICES: Mapping[str, str] = {"ubuntu": "/dev/sda1", "al2023": "/dev/xvda"}
SECURITY_GROUP = "roadsense-no-inbound"
ARM = re.compile(r"(a1|[a-z]+\d+g[a-z-]*)\.")
"""Machine types with ARM processors. SUMO supports them; the systems above and the image are built for x86."""
BILLED_STATES = ("pending", "running", "stopping", "stopped")
"""States in which a machine costs money; a stopped one still costs its disk."""


@dataclass(frozen=True)
class Ec2Config:
    """Common settings of an account's machines. The environment variable `ROADSENSE_EC2_<FIELD>` sets a field.

    Attributes:
        system: `ubuntu` or `al2023` (Amazon Linux 2023).
        ami: id of the machine image; by default the newest of `system`.
        disk_gb: size of the machine's disk, GB.
        subnet_id: id of the machine's subnet; by default one of the default network, in a zone that AWS chooses.
        security_group_id: id of the group, with `subnet_id`, without an inbound rule; by default such a group is made.
        profile: name of the instance profile, unless the job names one as its role.
    """

    system: str = "ubuntu"
    ami: str = ""
    disk_gb: int = 60
    subnet_id: str = ""
    security_group_id: str = ""
    profile: str = "roadsense-instance"

    def __post_init__(self) -> None:
        if self.system not in AMI_PARAMETERS:
            raise InputError(f"Expected {PREFIX}SYSTEM of {', '.join(AMI_PARAMETERS)}, got {self.system!r}.")
        if not 20 <= self.disk_gb <= 16384:
            raise InputError(f"Expected {PREFIX}DISK_GB of 20 to 16384, got {self.disk_gb}.")
        if bool(self.subnet_id) != bool(self.security_group_id):
            raise InputError(f"Expected {PREFIX}SUBNET_ID and {PREFIX}SECURITY_GROUP_ID together, got one of them.")


def read_config(environment: Mapping[str, str] = os.environ) -> Ec2Config:
    """Returns the account's settings from `ROADSENSE_EC2_...` variables.

    Raises:
        InputError: naming a variable that cannot be used.
    """
    found = {field.name: environment.get(PREFIX + field.name.upper()) for field in fields(Ec2Config)}
    values: dict[str, Any] = {name: text for name, text in found.items() if text}
    if "disk_gb" in values:
        if not values["disk_gb"].isdecimal():
            raise InputError(f"Expected {PREFIX}DISK_GB to be a number, got {values['disk_gb']!r}.")
        values["disk_gb"] = int(values["disk_gb"])
    return Ec2Config(**values)


def build_run_request(
    spec: JobSpec,
    config: Ec2Config,
    user_data: str,
    tags: Mapping[str, str],
    token: str,
    max_spot_usd: float | None = None,
) -> dict[str, Any]:
    """Returns the request `RunInstances`.

    IMDSv2 is required, and its answers reach one hop beyond the machine, to the container. The machine has no key pair
    and, by its security group, no open port: Session Manager gives a shell.

    Args:
        spec: checked spec of the job.
        config: the account's settings.
        user_data: script that the machine runs.
        tags: tags of the machine and its disk.
        token: text that identifies the request; the same token starts only one machine, even if sent again.
        max_spot_usd: highest price of spare capacity, US dollars an hour; None for the on-demand price.

    Raises:
        InputError: if the machine has an ARM processor.
    """
    machine = spec.instance_type or ""
    if ARM.match(machine):
        raise InputError(f"Expected a machine with an x86 processor, got {machine}, which is ARM.")
    listed = [{"Key": key, "Value": value} for key, value in {"Name": spec.name or "", **tags}.items()]
    disk = {"VolumeSize": config.disk_gb, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    request: dict[str, Any] = {
        "ImageId": config.ami or f"resolve:ssm:{AMI_PARAMETERS[config.system]}",
        "InstanceType": machine,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token,
        "UserData": user_data,
        "IamInstanceProfile": {"Name": spec.role or config.profile},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [{"DeviceName": ROOT_DEVICES[config.system], "Ebs": disk}],
        "TagSpecifications": [{"ResourceType": kind, "Tags": listed} for kind in ("instance", "volume")],
    }
    if config.subnet_id:
        request |= {"SubnetId": config.subnet_id, "SecurityGroupIds": [config.security_group_id]}
    else:
        request["SecurityGroups"] = [SECURITY_GROUP]
    if spec.spot:
        options: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
        if max_spot_usd is not None:
            options["MaxPrice"] = f"{max_spot_usd:.4f}"
        request["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": options}
    return request


def build_group_request() -> dict[str, Any]:
    """Returns the request `CreateSecurityGroup` for a group without an inbound rule, in the default network."""
    return {
        "GroupName": SECURITY_GROUP,
        "Description": "RoadSense: no inbound rule, a shell comes by Session Manager",
        "TagSpecifications": [
            {"ResourceType": "security-group", "Tags": [{"Key": "project", "Value": "roadsense"}]},
        ],
    }


def build_stop_request(instance_id: str, stop_s: int) -> dict[str, Any]:
    """Returns the request `SendCommand` that asks a machine to end its job with a checkpoint.

    The machine's script then uploads the results and ends the machine.
    """
    script = (
        "mkdir -p /run/roadsense && echo asked > /run/roadsense/stopped && "
        f"docker ps -q --filter name=roadsense | xargs -r docker stop -t {stop_s}"
    )
    return {
        "DocumentName": "AWS-RunShellScript",
        "InstanceIds": [instance_id],
        "Comment": "roadsense job stop",
        "TimeoutSeconds": 60,
        "Parameters": {"commands": [script], "executionTimeout": [str(2 * stop_s)]},
    }


def build_search(**tags: str) -> list[dict[str, Any]]:
    """Returns filters for what is ours, and has further tags, each named without `roadsense:` before it."""
    wanted = {"project": "roadsense"} | {f"roadsense:{name}": value for name, value in tags.items()}
    return [{"Name": f"tag:{name}", "Values": [value]} for name, value in wanted.items()]
