"""A machine on EC2 to work on: a command in `tmux`, and a shell and JupyterLab through Session Manager.

It stops at its limit, or when it was idle for some time. It uploads its runs to S3 all the time. A stopped workstation
keeps its disk, which costs a little, and can be started again under the same name.
"""

import json
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from roadsense.cloud.session import find_region, make_client, translate_errors
from roadsense.cloud.storage import publish_dataset
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.launch import GRACE_S, RUN_DOCKER, open_folder, plan_machine, run_machine
from roadsense.jobs.aws.ec2.machines import DEADLINE_TAG, HOURS_TAG, PLACE_TAG, Machine, list_machines
from roadsense.jobs.aws.ec2.requests import BILLED_STATES, read_config
from roadsense.jobs.shown import confirm
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.tags import refuse_secrets
from roadsense.jobs.target import Plan
from roadsense.utils.times import write_time

COMMANDS = ("generate", "train", "evaluate", "export", "run", "lab", "test", "bash")
"""Commands of `run_docker.sh` that need no interaction."""
PORT = 8888
"""Port of JupyterLab, on the machine and here."""
SCRIPT = Path(__file__).parents[4] / "docker" / RUN_DOCKER


@dataclass(frozen=True)
class WorkstationConfig:
    """Settings of `roadsense workstation`.

    Attributes:
        output: `s3://bucket/prefix`; its runs are uploaded to `jobs/<name>/checkpoints` below it.
        image: URI of the image in a registry.
        name: new name, or the name of a stopped workstation, which is then started again.
        command: arguments of `docker/run_docker.sh`, started in tmux, e.g. `train --dataset_dir
            scenarios/dataset/train --run_dir runs/first`; empty for a shell alone.
        dataset: folder, or `s3://.../datasets/<digest>`; on the machine it is `scenarios/dataset`.
        instance_type: machine type.
        max_hours: time until it stops, hours; it starts again at zero when the machine is started again.
        max_usd: highest cost, US dollars; it may shorten `max_hours`.
        idle_minutes: time without a container, an open shell or a busy processor until it stops, minutes; 0: only at
            its limit.
        spot: whether to use spare capacity; the machine then ends instead of stopping, together with its disk.
        region: AWS region; by default the configured one.
        role: name of its instance profile; by default `roadsense-instance`.
        dry_run: print the exact requests, start nothing.
        yes: start it without asking.
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
    yes: bool = False

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise InputError(f"Expected command to be words of a shell, got {self.command!r} ({error}).") from None
        if words and words[0] not in COMMANDS:
            raise InputError(f"Expected command to begin with {', '.join(COMMANDS)}, got {words[0]!r}.")
        refuse_secrets(dict(zip(words, words, strict=True)))
        if self.idle_minutes < 0:
            raise InputError(f"Expected idle_minutes of 0 or more, got {self.idle_minutes}.")


def run_workstation(config: WorkstationConfig) -> None:
    """Shows the price of a machine on EC2 to work on, starts it, and prints how to reach it."""
    plan = plan_workstation(config, ask=not config.dry_run)
    if config.dry_run:
        sys.stdout.write(json.dumps(plan.describe(), indent=2) + "\n")
        return
    confirm(plan.describe(), config.yes)
    instance_id, session = start_workstation(plan), f"aws ssm start-session --region {plan.spec.region} --target"
    forward = f"--document-name AWS-StartPortForwardingSession --parameters portNumber={PORT},localPortNumber={PORT}"
    sys.stdout.write(
        f"{instance_id}\n"
        f"{session} {instance_id}    a shell, some minutes from now; there:\n"
        "sudo tmux attach -t roadsense    the command; Ctrl-b d leaves it running\n"
        f"{session} {instance_id} {forward}    JupyterLab at http://127.0.0.1:{PORT}, where the command is lab\n"
        f"roadsense job stop {plan.job_id} --target ec2    stops it, with a checkpoint\n"
    )


def plan_workstation(config: WorkstationConfig, ask: bool = False) -> Plan:
    """Plans a workstation's machine.

    Args:
        config: settings of the workstation.
        ask: whether to ask AWS for prices; nothing else is sent.
    """
    taken = ("command", "idle_minutes", "dry_run", "yes")
    values = {name: value for name, value in vars(config).items() if name not in taken}
    spec = JobSpec(notebook="01_train", target="ec2", **values)
    own = {"command": shlex.join(shlex.split(config.command)), "idle_s": 60 * config.idle_minutes}
    return plan_machine(spec, read_config(), ask, own)


def start_workstation(plan: Plan) -> str:
    """Starts a new workstation, or a stopped one of this name, and returns its machine's id.

    Raises:
        InputError: if one of this name is running, or is stopped and would cost more than the plan says; or if
            `docker/run_docker.sh`, which is uploaded, is missing here.
    """
    wanted = {f"tag:{PLACE_TAG}": [plan.job_id], "instance-state-name": list(BILLED_STATES)}
    filters = [{"Name": name, "Values": values} for name, values in wanted.items()]
    machines = list_machines(find_region(plan.spec.region), filters)
    if not machines:
        _upload(plan)
        return run_machine(plan)
    if machines[-1].state != "stopped":
        raise InputError(f"{plan.spec.name} is {machines[-1].state}: {machines[-1].instance_id}. Give another name.")
    _check_limits(machines[-1], plan.spec)
    return _start_again(machines[-1])


def _upload(plan: Plan) -> None:
    if not SCRIPT.is_file():
        raise InputError(f"Expected {SCRIPT}, which a workstation needs, found none. Start it from a clone.")
    folder = open_folder(plan)
    if plan.local_dataset:
        publish_dataset(plan.local_dataset, plan.spec.output, folder.region)
    folder.write(RUN_DOCKER, SCRIPT.read_bytes())
    folder.write_spec(plan.spec)


def _check_limits(machine: Machine, spec: JobSpec) -> None:
    """Checks that a stopped machine, which keeps its type and its limit of time, costs no more than a spec says."""
    limit_s = round(3600 * float(machine.tags[HOURS_TAG])) - GRACE_S
    if machine.instance_type != spec.instance_type or limit_s > spec.limit_s:
        raise InputError(
            f"Expected instance_type {machine.instance_type} and max_hours of at least {limit_s / 3600:g}, which "
            f"{spec.name} has and keeps, got {spec.instance_type} and {spec.max_hours:g}. Or give another name."
        )


def _start_again(machine: Machine) -> str:
    """Starts a stopped machine; its script applies the original limit, counted from now."""
    hours = float(machine.tags[HOURS_TAG])
    tags = [{"Key": DEADLINE_TAG, "Value": write_time(datetime.now(UTC) + timedelta(hours=hours))}]
    client = make_client("ec2", machine.region)
    with translate_errors():
        client.create_tags(Resources=[machine.instance_id], Tags=tags)
        client.start_instances(InstanceIds=[machine.instance_id])
    return machine.instance_id
