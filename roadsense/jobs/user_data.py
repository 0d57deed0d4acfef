"""The script a machine on EC2 runs when it starts.

It is put together from `machine/common.sh` and the script of what the machine is for, with the settings in between.
The notebook's parameters travel in it as base64 of the file the job reads. The limit of 16 KiB, and that anybody on
the machine may read it, are why nothing else does.
"""

import base64
import json
import re
import shlex
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from roadsense.errors import InputError

MAX_BYTES = 16 * 1024
CLI_VERSION = "1.46.3"
"""Of the AWS CLI, where the machine's image does not bring one."""
KINDS = ("job", "workstation")
SECRET_NAME = re.compile(r"password|passwd|secret|token|credential|api_?key|access_?key", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_\w{30,}")


@dataclass(frozen=True)
class MachineSettings:
    """What the script on the machine has to know. Each field becomes a variable of it, in capitals.

    Attributes:
        job: its name.
        place: S3 URL of what it leaves, `s3://bucket/prefix/jobs/<name>`.
        image: of the container, with its registry.
        region: of AWS.
        max_minutes: the machine ends after this, whatever it is doing.
        notebook: its name in the image.
        dataset: S3 URL, or empty.
        parameters: of the notebook: base64 of `hyperparameters.json`.
        usd_per_hour: what the machine costs, written down beside the results; empty if it isn't known.
        system: `ubuntu` or `al2023`.
        spot: `yes` if the machine may be taken back, or `no`.
        grace_s: the job is asked to end with a checkpoint so long before the limit, seconds.
        stop_s: how long a container may take to end before it is killed, seconds; a spot notice comes 120 s ahead.
        shared_memory: of the container, in Docker's spelling; the workers of a training exchange data through it.
        spot_every_s: how often the machine asks for a spot notice, seconds.
        log_every_s: how often the log goes up, seconds.
        sync_every_s: how often checkpoints go up, seconds.
        retry_s: pause before a failed installation or download is tried again, seconds.
        command: of a workstation: arguments of `run_docker.sh`, started in its terminal; or empty.
        idle_s: a workstation stops after so long without a container, a shell or a busy processor, seconds; 0: never.
        idle_every_s: how often it looks, seconds.
        busy_load: load average of the last minute above which its processors are busy.
        cli_version: of the AWS CLI.
    """

    job: str
    place: str
    image: str
    region: str
    max_minutes: int
    notebook: str = "01_train"
    dataset: str = ""
    parameters: str = ""
    usd_per_hour: str = ""
    system: str = "ubuntu"
    spot: str = "no"
    grace_s: int = 300
    stop_s: int = 90
    shared_memory: str = "4g"
    spot_every_s: int = 5
    log_every_s: int = 15
    sync_every_s: int = 60
    retry_s: int = 10
    command: str = ""
    idle_s: int = 3600
    idle_every_s: int = 60
    busy_load: float = 0.5
    cli_version: str = CLI_VERSION


def encode_parameters(texts: dict[str, str]) -> str:
    """Returns `hyperparameters.json` with these texts, in base64.

    Raises:
        InputError: if one of them looks like a secret: the script can be read by anybody on the machine, and by
            anybody who may describe it.
    """
    for name, text in texts.items():
        if SECRET_NAME.search(name) or SECRET_VALUE.search(text):
            raise InputError(
                f"Expected parameters without secrets, but {name!r} looks like one, and a machine's start script is no "
                "place to hide it. Give the machine's role the right instead."
            )
    return base64.b64encode(json.dumps(texts, sort_keys=True).encode()).decode()


def write_user_data(settings: MachineSettings, kind: str = "job") -> str:
    """Returns the script for a machine.

    Args:
        settings: what it has to know.
        kind: `job` (runs the container and ends) or `workstation` (stays until its limit, or until it is idle).

    Raises:
        InputError: if it is larger than EC2 takes.
    """
    folder = files("roadsense.jobs") / "machine"
    common, own = ((folder / f"{name}.sh").read_text(encoding="utf-8") for name in ("common", kind))
    script = common.replace("#SETTINGS#", _write_settings(settings)) + own
    size = len(script.encode())
    if size > MAX_BYTES:
        raise InputError(
            f"Expected a start script of at most {MAX_BYTES} bytes, got {size}. The notebook's parameters take "
            f"{len(settings.parameters)} of them: shorten them, or put long ones into the dataset or the image."
        )
    return script


def _write_settings(settings: MachineSettings) -> str:
    lines = (f"{item.name.upper()}={_quote(getattr(settings, item.name))}" for item in fields(settings))
    return (
        "# shellcheck disable=SC2034  # not every kind of machine uses every setting\n{\n"
        + "".join(f"  {line}\n" for line in lines)
        + "}"
    )


def _quote(value: Any) -> str:
    return shlex.quote(str(value))
