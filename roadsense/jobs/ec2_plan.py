"""What a job on EC2 is going to be: its machine, its script, its tags and its price, before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Any

from roadsense.cloud.session import find_region
from roadsense.cloud.storage import find_dataset_url
from roadsense.errors import InputError
from roadsense.jobs.cost import Estimate, estimate_cost, limit_spot_price, limit_to_money
from roadsense.jobs.ec2_machines import DEADLINE_TAG, HOURS_TAG, PLACE_TAG, PRICE_TAG
from roadsense.jobs.ec2_place import SPEC_NAME, JobPlace, place_of
from roadsense.jobs.launch import (
    AMI_PARAMETERS,
    Ec2Config,
    Launch,
    build_group_request,
    build_run_request,
    write_time,
)
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import JobSpec, check_spec, make_tags
from roadsense.jobs.user_data import MachineSettings, encode_parameters, write_user_data
from roadsense.utils.git_state import read_git_state

MAX_TOKEN = 64
GRACE_SHARE = 0.1
MAX_GRACE_S = 300


@dataclass(frozen=True)
class Plan:
    """A job that is about to get a machine.

    Attributes:
        spec: complete, its hours limited to its money, its dataset by the URL it has or will have in S3.
        config: the account's settings.
        place: the job's folder in S3.
        launch: its machine.
        estimate: what it costs at most; None if no price is known.
        folder: of a dataset that is to be published first; empty without one.
    """

    spec: JobSpec
    config: Ec2Config
    place: JobPlace
    launch: Launch
    estimate: Estimate | None
    folder: str = ""

    def build_run_request(self, ami: str) -> dict[str, Any]:
        """Returns the request that starts the machine from an image."""
        return build_run_request(self.launch, self.config, ami)

    def again(self, n_machines: int) -> "Plan":
        """Returns the plan for one more machine after so many: its own token keeps it apart from those."""
        token = f"{self.launch.name}-{n_machines + 1}"[-MAX_TOKEN:]
        return replace(self, launch=replace(self.launch, token=token))

    def describe(self) -> dict[str, Any]:
        """Returns every request in its order, with the image by the name AWS resolves itself."""
        ami = self.config.ami or f"resolve:ssm:{AMI_PARAMETERS[self.config.system]}"
        calls: list[dict[str, Any]] = [
            {"service": "s3", "operation": "PutObject", "what": f"{self.place.url}/{SPEC_NAME}"}
        ]
        if not self.config.subnet_id:
            calls.append(
                {
                    "service": "ec2",
                    "operation": "CreateSecurityGroup",
                    "request": build_group_request(),
                    "what": "unless it is there",
                }
            )
        calls.append({"service": "ec2", "operation": "RunInstances", "request": self.build_run_request(ami)})
        return {"region": self.place.region, "estimate": str(self.estimate or "price unknown"), "calls": calls}


def plan_job(spec: JobSpec, config: Ec2Config, ask: bool = False, workstation: Mapping[str, Any] | None = None) -> Plan:
    """Plans a job's machine.

    Args:
        spec: checked.
        config: the account's settings.
        ask: whether to ask AWS for prices. Nothing else is ever asked or sent.
        workstation: settings that only a workstation has; None for a job, whose machine ends with it.

    Raises:
        InputError: if it names no image, or its limits of time and money don't go together.
    """
    if spec.name is None or spec.instance_type is None:
        spec = check_spec(spec)
    if not spec.image:
        raise InputError("Expected an image for target ec2, e.g. the URI in ECR that it was pushed to. Give --image.")
    region = find_region(spec.region)
    estimate = estimate_cost(spec, config.disk_gb, ask)
    limited = limit_to_money(replace(spec, dataset=find_dataset_url(spec.dataset, spec.output) or None), estimate)
    if estimate is not None:
        estimate = replace(estimate, hours=limited.max_hours, usd=estimate.usd_per_hour * limited.max_hours)
    place = place_of(limited, region)
    deadline = datetime.now(UTC) + timedelta(hours=limited.max_hours)
    launch = Launch(
        name=limited.name or "",
        instance_type=limited.instance_type or "",
        user_data=write_user_data(
            replace(_settings(limited, config, place, estimate), **(workstation or {})),
            "job" if workstation is None else "workstation",
        ),
        tags=_tags(limited, place, estimate, deadline),
        token=f"{limited.name}-1"[-MAX_TOKEN:],
        profile=limited.role or config.profile,
        spot=limited.spot,
        max_spot_usd=limit_spot_price(limited, estimate),
        at_shutdown="terminate" if workstation is None or limited.spot else "stop",
    )
    folder = spec.dataset if spec.dataset and spec.dataset != limited.dataset else ""
    return Plan(limited, config, place, launch, estimate, folder)


def _settings(spec: JobSpec, config: Ec2Config, place: JobPlace, estimate: Estimate | None) -> MachineSettings:
    minutes = max(1, floor(spec.max_hours * 60))
    return MachineSettings(
        job=spec.name or "",
        place=place.url,
        image=spec.image or "",
        region=place.region,
        max_minutes=minutes,
        grace_s=min(MAX_GRACE_S, floor(60 * minutes * GRACE_SHARE)),
        notebook=spec.notebook_name,
        dataset=spec.dataset or "",
        parameters=encode_parameters({name: encode_value(value) for name, value in spec.parameters.items()}),
        usd_per_hour=f"{estimate.usd_per_hour:.4f}" if estimate else "",
        system=config.system,
        spot="yes" if spec.spot else "no",
    )


def _tags(spec: JobSpec, place: JobPlace, estimate: Estimate | None, deadline: datetime) -> dict[str, str]:
    facts = {
        "dataset_digest": (spec.dataset or "").rstrip("/").rsplit("/", 1)[-1],
        "git_commit": read_git_state().commit,
    }
    tags = make_tags(spec, deadline, facts)
    tags |= {
        DEADLINE_TAG: write_time(deadline),
        PLACE_TAG: place.url,
        HOURS_TAG: f"{spec.max_hours:.2f}",
    }
    if estimate:
        tags[PRICE_TAG] = f"{estimate.usd_per_hour:.4f}"
    return tags
