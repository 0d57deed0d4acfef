"""The script a machine on EC2 runs when it starts.

It is put together from `common.sh` and the script of what the machine is for, with the settings in between.
The notebook's parameters travel in it as base64 of the file the job reads. The limit of 16 KiB, and that anybody on
the machine may read it, are why nothing else does.
"""

import base64
import json
import shlex
from dataclasses import dataclass, fields
from importlib.resources import files
from typing import Any

from roadsense.errors import InputError

MAX_BYTES = 16 * 1024
KINDS = ("job", "workstation")


@dataclass(frozen=True)
class MachineSettings:
    """What the script on the machine has to know. Each field becomes a variable of it, in capitals.

    Attributes:
        job: its name.
        place: S3 URL of what it leaves, `s3://bucket/prefix/jobs/<name>`.
        image: of the container, with its registry.
        region: of AWS.
        limit_s: the job is asked to stop with a checkpoint so long after the machine started, seconds.
        grace_s: then the machine has so long to upload everything; it ends after both, whatever it is doing, seconds.
        notebook: its name in the image.
        dataset: S3 URL, or empty.
        parameters: of the notebook: base64 of `hyperparameters.json`.
        usd_per_hour: what the machine costs, written down beside the results; empty if it isn't known.
        system: `ubuntu` or `al2023`.
        spot: `yes` if the machine may be taken back, or `no`.
        stop_s: how long a container may take to end before it is killed, seconds; a spot notice comes 120 s ahead.
        shared_memory: of the container, in Docker's spelling; the workers of a training exchange data through it.
        spot_every_s: how often the machine asks for a spot notice, seconds.
        log_every_s: how often the log goes up, seconds.
        sync_every_s: how often checkpoints go up, seconds.
        spare_s: uploads are given up so long before the machine's end, to say so, seconds.
        retry_s: pause before a failed installation or download is tried again, seconds.
        command: of a workstation: arguments of `run_docker.sh`, started in its terminal; or empty.
        idle_s: a workstation stops after so long without a container, a shell or a busy processor, seconds; 0: never.
        idle_every_s: how often it looks, seconds.
        busy_load: load average of the last minute above which its processors are busy.
    """

    job: str
    place: str
    image: str
    region: str
    limit_s: int
    grace_s: int
    notebook: str = "01_train"
    dataset: str = ""
    parameters: str = ""
    usd_per_hour: str = ""
    system: str = "ubuntu"
    spot: str = "no"
    stop_s: int = 90
    shared_memory: str = "4g"
    spot_every_s: int = 5
    log_every_s: int = 15
    sync_every_s: int = 60
    spare_s: int = 60
    retry_s: int = 10
    command: str = ""
    idle_s: int = 3600
    idle_every_s: int = 60
    busy_load: float = 0.5


def encode_parameters(texts: dict[str, str]) -> str:
    """Returns `hyperparameters.json` with these texts, in base64."""
    return base64.b64encode(json.dumps(texts, sort_keys=True).encode()).decode()


def write_user_data(settings: MachineSettings, kind: str = "job") -> str:
    """Returns the script for a machine.

    Args:
        settings: what it has to know.
        kind: `job` (runs the container and ends) or `workstation` (stays until its limit, or until it is idle).

    Raises:
        InputError: if it is larger than EC2 takes.
    """
    folder = files("roadsense.jobs.aws.ec2")
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
