"""Lists the machines we started on EC2, and the machines and left-over disks that still cost money."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from roadsense.cloud.session import make_client, translate_errors
from roadsense.jobs.aws.ec2.requests import BILLED_STATES, build_search
from roadsense.jobs.aws.prices import cost_so_far, list_disk_price, list_price
from roadsense.jobs.target import JobState, JobStatus
from roadsense.utils.times import write_time

PLACE_TAG = "roadsense:place"
PRICE_TAG = "roadsense:usd-per-hour"
JOB_TAG = "roadsense:job"
OWNER_TAG = "roadsense:owner"
DEADLINE_TAG = "roadsense:deadline"
HOURS_TAG = "roadsense:hours"
LATE_S = 900.0
"""Time after its deadline from which a machine is overdue, seconds."""


@dataclass(frozen=True)
class Machine:
    """A machine that we started.

    Attributes:
        instance_id: AWS's id of the machine.
        state: AWS's word: `pending`, `running`, `shutting-down`, `terminated`, `stopping` or `stopped`.
        reason: why it ended, in AWS's words; empty before.
        started: start time, with time zone.
        instance_type: machine type, e.g. `c6i.8xlarge`.
        is_spot: whether it is spare capacity.
        region: AWS region of the machine.
        tags: all tags of the machine.
    """

    instance_id: str
    state: str
    reason: str
    started: datetime
    instance_type: str
    is_spot: bool
    region: str
    tags: Mapping[str, str]

    @property
    def usd_per_hour(self) -> float | None:
        """Price while it runs, US dollars an hour: noted at its start, else from the recorded prices."""
        if PRICE_TAG in self.tags:
            return float(self.tags[PRICE_TAG])
        price = list_price(self.instance_type, self.region, self.is_spot)
        return price.usd_per_hour if price else None

    def read_status(self) -> JobStatus:
        """Returns its state in the words of all targets, and its cost since its start."""
        usd = self.usd_per_hour
        words = [self.state, self.instance_type, "spot" if self.is_spot else "", self.instance_id, self.region]
        if self.state in ("pending", "running"):
            words.append(f"until {self.tags.get(DEADLINE_TAG, 'an unknown time')}")
        return JobStatus(
            job_id=self.tags.get(PLACE_TAG, self.instance_id),
            name=self.tags.get(JOB_TAG, ""),
            target="ec2",
            state=_read_state(self.state),
            phase=" ".join(word for word in words if word) + f", {self.tags.get(OWNER_TAG, 'nobody')}'s",
            reason=self.reason or self._find_overdue(),
            started=write_time(self.started),
            usd=cost_so_far(self.started, usd) if usd is not None and self.state in ("pending", "running") else None,
            output=self.tags.get(PLACE_TAG, ""),
        )

    def _find_overdue(self) -> str:
        """Returns a warning if the machine is overdue: its script should have ended it, but may never have run."""
        deadline = self.tags.get(DEADLINE_TAG)
        if not deadline or self.state not in ("pending", "running"):
            return ""
        late_s = (datetime.now(UTC) - datetime.fromisoformat(deadline)).total_seconds()
        return f"overdue: it should have ended at {deadline}, end it" if late_s > LATE_S else ""


def list_machines(region: str, filters: Sequence[Mapping[str, Any]]) -> list[Machine]:
    """Returns the machines in a region that match filters of `DescribeInstances`, the oldest first."""
    with translate_errors():
        pages = make_client("ec2", region).get_paginator("describe_instances").paginate(Filters=list(filters))
        found = [item for page in pages for part in page["Reservations"] for item in part["Instances"]]
    return sorted((_parse_machine(item, region) for item in found), key=lambda machine: machine.started)


def list_disks(region: str) -> list[JobStatus]:
    """Returns our disks in a region that belong to no machine any more and still cost money."""
    filters = [*build_search(), {"Name": "status", "Values": ["available", "creating", "error"]}]
    with translate_errors():
        pages = make_client("ec2", region).get_paginator("describe_volumes").paginate(Filters=filters)
        return [_read_disk(item, region) for page in pages for item in page["Volumes"]]


def list_costing(region: str) -> list[JobStatus]:
    """Returns what costs money in a region now: our machines, whoever started them, and left-over disks."""
    states = {"Name": "instance-state-name", "Values": list(BILLED_STATES)}
    machines = list_machines(region, [*build_search(), states])
    return [*(machine.read_status() for machine in machines), *list_disks(region)]


def _parse_machine(item: Mapping[str, Any], region: str) -> Machine:
    return Machine(
        instance_id=item["InstanceId"],
        state=item["State"]["Name"],
        reason=item.get("StateReason", {}).get("Message", ""),
        started=item["LaunchTime"],
        instance_type=item["InstanceType"],
        is_spot=item.get("InstanceLifecycle") == "spot",
        region=region,
        tags=_read_tags(item),
    )


def _read_disk(item: Mapping[str, Any], region: str) -> JobStatus:
    tags, usd = _read_tags(item), list_disk_price(region, item["Size"])
    return JobStatus(
        job_id=item["VolumeId"],
        name=tags.get(JOB_TAG, ""),
        target="ec2",
        state=JobState.STOPPED,
        phase=f"disk of {item['Size']} GB without a machine, {region}, {tags.get(OWNER_TAG, 'nobody')}'s",
        reason="delete it if nothing on it is needed",
        started=write_time(item["CreateTime"]),
        usd=cost_so_far(item["CreateTime"], usd),
        output=tags.get(PLACE_TAG, ""),
    )


def _read_tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}


def _read_state(state: str) -> JobState:
    if state == "pending":
        return JobState.WAITING
    return JobState.STOPPED if state in ("stopped", "terminated") else JobState.RUNNING
