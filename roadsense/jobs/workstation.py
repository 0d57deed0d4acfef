"""A machine on EC2 to work on: a training in `tmux`, a shell by Session Manager, and an end in any case.

It stops at its limit, or when nobody has used it for a while. Its runs are in step with S3 all the time. A stopped one
keeps its disk, which costs a little, and is started again under the same name.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import tyro

from roadsense.cloud.session import find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.errors import InputError
from roadsense.jobs.ec2_machines import DEADLINE_TAG, HOURS_TAG, PLACE_TAG, Machine, list_machines
from roadsense.jobs.ec2_plan import Plan, plan_job
from roadsense.jobs.ec2_start import run_machine
from roadsense.jobs.launch import BILLED_STATES, read_config, write_time
from roadsense.jobs.spec import JobSpec
from roadsense.utils.command import run_command

COMMANDS = ("generate", "train", "evaluate", "export", "run", "test", "bash")
"""Of `run_docker.sh`, what can be started without a person in front of it."""
SCRIPT = Path(__file__).parents[2] / "docker" / "run_docker.sh"


@dataclass(frozen=True)
class WorkstationConfig:
    """Settings of `roadsense workstation`.

    Attributes:
        output: `s3://bucket/prefix`; its runs go to `jobs/<name>/checkpoints` below.
        image: URI of the image in a registry.
        name: a new one, or that of a stopped workstation, which is then started again.
        command: arguments of `docker/run_docker.sh`, started in tmux, e.g. `train --dataset_dir
            scenarios/dataset/train --run_dir runs/first`; empty for a shell alone.
        dataset: folder, or `s3://.../datasets/<digest>`; on the machine it is `scenarios/dataset`.
        instance_type: the machine.
        max_hours: it stops after this, hours; counted anew when it is started again.
        max_usd: `max_hours` is cut to what this pays for, US dollars.
        idle_minutes: it stops when for so long no container ran, no shell was open and its processors were idle; 0:
            only at its limit.
        spot: whether to take spare capacity; it then ends rather than stops, and its disk with it.
        region: of AWS; by default the configured one.
        role: name of its instance profile; by default `roadsense-instance`.
        dry_run: print the exact requests, send nothing.
    """

    output: str
    image: str
    name: str = "roadsense-workstation"
    command: str = ""
    dataset: str | None = None
    instance_type: str = "c6i.8xlarge"
    max_hours: float = 12.0
    max_usd: float | None = None
    idle_minutes: int = 60
    spot: bool = False
    region: str | None = None
    role: str | None = None
    dry_run: bool = False

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise InputError(f"Expected command to be words of a shell, got {self.command!r} ({error}).") from None
        if words and words[0] not in COMMANDS:
            raise InputError(f"Expected command to begin with {', '.join(COMMANDS)}, got {words[0]!r}.")
        if self.idle_minutes < 0:
            raise InputError(f"Expected idle_minutes of 0 or more, got {self.idle_minutes}.")


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense workstation`: starts one and says how to get to it, or shows what would be sent."""
    return run_command(lambda: _main(tyro.cli(WorkstationConfig, args=arguments, prog="roadsense workstation")))


def plan_workstation(config: WorkstationConfig, ask: bool = False) -> Plan:
    """Plans a workstation's machine.

    Args:
        config: its settings.
        ask: whether to ask AWS for prices; nothing else is asked or sent.
    """
    spec = JobSpec(
        notebook="01_train",
        target="ec2",
        name=config.name,
        image=config.image,
        instance_type=config.instance_type,
        dataset=config.dataset,
        output=config.output,
        max_hours=config.max_hours,
        max_usd=config.max_usd,
        spot=config.spot,
        region=config.region,
        role=config.role,
    )
    own: dict[str, Any] = {"command": shlex.join(shlex.split(config.command)), "idle_s": 60 * config.idle_minutes}
    return plan_job(spec, read_config(), ask, own)


def start_workstation(config: WorkstationConfig) -> str:
    """Starts a workstation, or starts a stopped one of this name again, and returns its machine's id.

    Raises:
        InputError: if one of this name is at work, or the project's `docker/run_docker.sh` isn't here to be sent.
    """
    plan = plan_workstation(config, ask=True)
    of_name = [{"Name": f"tag:{PLACE_TAG}", "Values": [plan.place.url]}]
    machines = [machine for machine in list_machines(plan.place.region, of_name) if machine.state in BILLED_STATES]
    if not machines:
        _bring_up(plan)
        return run_machine(plan.again(len(plan.place.read_attempts())))
    if machines[-1].state != "stopped":
        raise InputError(f"{config.name} is {machines[-1].state}: {machines[-1].instance_id}. Give another name.")
    return _start_again(machines[-1])


def _bring_up(plan: Plan) -> None:
    if not SCRIPT.is_file():
        raise InputError(f"Expected {SCRIPT}, which is sent to a workstation, found none. Start it from a clone.")
    if plan.folder:
        publish_dataset(plan.folder, plan.spec.output, plan.place.region)
    plan.place.write("run_docker.sh", SCRIPT.read_bytes())
    plan.place.write_spec(plan.spec)


def _start_again(machine: Machine) -> str:
    """Starts a stopped machine; its own script gives it the limit it was made with, counted from now."""
    hours = float(machine.tags[HOURS_TAG])
    tags = [{"Key": DEADLINE_TAG, "Value": write_time(datetime.now(UTC) + timedelta(hours=hours))}]
    client = make_client("ec2", machine.region)
    with translate_errors():
        client.create_tags(Resources=[machine.instance_id], Tags=tags)
        client.start_instances(InstanceIds=[machine.instance_id])
    return machine.instance_id


def _main(config: WorkstationConfig) -> None:
    if config.dry_run:
        json.dump(plan_workstation(config).describe(), sys.stdout, indent=2)
        sys.stdout.write("\n")
        return
    instance_id = start_workstation(config)
    region, job = find_region(config.region), f"{config.output.rstrip('/')}/jobs/{config.name}"
    sys.stdout.write(
        f"{instance_id}\n"
        f"aws ssm start-session --region {region} --target {instance_id}    a shell, some minutes from now; there:\n"
        "sudo tmux attach -t roadsense    the training; Ctrl-b d leaves it running\n"
        f"roadsense job stop {job} --target ec2    ends it, with a checkpoint\n"
    )
