"""The script that a machine on EC2 runs when it starts.

It consists of `common.sh`, the settings, and the script for the machine's purpose.
The notebook's parameters are in it as base64 of the file that the job reads. Nothing else is, because the limit is
16 KiB and all users of the machine can read it.
"""

import base64
import json
import shlex
from dataclasses import dataclass, fields
from importlib.resources import files

from roadsense.errors import InputError

MAX_BYTES = 16 * 1024
KINDS = ("job", "workstation")


@dataclass(frozen=True)
class MachineSettings:
    """Settings of the script on the machine. Each field becomes a variable of the script, in capitals.

    Attributes:
        job: name of the job.
        place: S3 URL for the job's results, `s3://bucket/prefix/jobs/<name>`.
        image: the container's image, with its registry.
        region: AWS region.
        limit_s: time from the machine's start until the job is asked to stop with a checkpoint, seconds.
        grace_s: time for the uploads after `limit_s`, seconds; then the machine ends in any case.
        notebook: name of the notebook in the image.
        dataset: S3 URL, or empty.
        parameters: the notebook's parameters: base64 of `hyperparameters.json`.
        usd_per_hour: the machine's price, US dollars an hour, recorded with the results; empty if it isn't known.
        system: `ubuntu` or `al2023`.
        spot: `yes` if the machine may be taken back, or `no`.
        stop_s: time in which a container must end before it is killed, seconds; a spot notice comes 120 s ahead.
        shared_memory: the container's shared memory in Docker's notation; training workers exchange data through it.
        spot_every_s: interval at which the machine checks for a spot notice, seconds.
        log_every_s: interval of the log uploads, seconds.
        sync_every_s: interval of the checkpoint uploads, seconds.
        spare_s: time before the machine's end at which uploads stop, to report it, seconds.
        retry_s: pause before a failed installation or download is tried again, seconds.
        command: arguments of `run_docker.sh`, started in a workstation's terminal; or empty.
        idle_s: time without a container, a shell or a busy processor until a workstation stops, seconds; 0: never.
        idle_every_s: interval at which a workstation checks this, seconds.
        busy_load: load average of the last minute above which the processors are busy.
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
        settings: settings of the script.
        kind: `job` (runs the container and ends) or `workstation` (stays until its limit, or until it is idle).

    Raises:
        InputError: if the script is larger than EC2 allows.
    """
    folder = files("roadsense.jobs.aws.ec2")
    common, own = ((folder / f"{name}.sh").read_text(encoding="utf-8") for name in ("common", kind))
    lines = (f"  {item.name.upper()}={shlex.quote(str(getattr(settings, item.name)))}\n" for item in fields(settings))
    # shellcheck: not every kind of machine uses every setting
    script = common.replace("#SETTINGS#", f"# shellcheck disable=SC2034\n{{\n{''.join(lines)}}}") + own
    size = len(script.encode())
    if size > MAX_BYTES:
        raise InputError(
            f"Expected a start script of at most {MAX_BYTES} bytes, got {size}. The notebook's parameters take "
            f"{len(settings.parameters)} of them: shorten them, or put long ones into the dataset or the image."
        )
    return script
