"""Checks an installation and says what is missing and what needs it: `roadsense doctor`."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from roadsense.errors import RoadSenseError
from roadsense.utils.compiled import is_compiled, why_plain_python
from roadsense.utils.finding import MISSING, NOTE, OK, Finding
from roadsense.utils.scratch import scratch_folder

MIN_CORES, MIN_MEMORY_GB, MIN_DISK_GB = 2, 4.0, 5.0
TIMEOUT_S = 20.0
WIDTH = 26
"""Width of the column with the names of what is checked, characters."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
CONTAINER_ENGINES = ("docker", "podman")
CREDENTIAL_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")

ONE_LANE = """<net version="1.20"><location netOffset="0,0" convBoundary="0,0,99,0" origBoundary="0,0,99,0"
 projParameter="!"/><edge id="e" from="a" to="b" priority="1"><lane id="e_0" index="0" speed="9" length="99"
 shape="0,0 99,0"/></edge><junction id="a" type="dead_end" x="0" y="0" incLanes="" intLanes="" shape="0,0"/>
<junction id="b" type="dead_end" x="99" y="0" incLanes="e_0" intLanes="" shape="99,0"/></net>"""


@dataclass(frozen=True)
class DoctorConfig:
    """Settings of `roadsense doctor`.

    Attributes:
        folder: folder for datasets and runs.
        aws: check the AWS account instead, with the credentials of this machine; nothing is changed.
        bucket: with `aws`: bucket for datasets and results.
        repository: with `aws`: repository for images in ECR.
        role: with `aws`: execution role's ARN; by default the environment's or Studio's.
        region: AWS region; by default the configured one.
    """

    folder: Path = Path()
    aws: bool = False
    bucket: str | None = None
    repository: str = "roadsense"
    role: str | None = None
    region: str | None = None


class IncompleteError(RoadSenseError):
    """Raised when a required part is missing."""


def examine(config: DoctorConfig) -> list[Finding]:
    """Returns a finding for everything RoadSense uses, in the order in which it is needed."""
    checks: tuple[Callable[[], Finding], ...] = (
        check_python, check_sumo, check_compiled, check_cores, check_memory, lambda: check_disk(config.folder),
        lambda: _check_packages("training", ("torch", "stable_baselines3", "sb3_contrib", "optuna"), "train"),
        lambda: _check_packages("notebooks", ("jupyterlab", "ipykernel", "ipywidgets", "papermill"), "lab"),
        check_browser, lambda: _check_packages("export", ("tensorflow", "ai_edge_litert"), "export"),
        check_engine, check_aws,
    )  # fmt: skip
    return [check() for check in checks]


def check_python() -> Finding:
    """Returns whether RoadSense supports this version of Python."""
    found = platform.python_version()
    if (3, 11) <= sys.version_info < (3, 14):
        return Finding("Python", OK, found)
    return Finding("Python", MISSING, f"expected 3.11, 3.12 or 3.13, got {found}. Install one, then RoadSense again.")


def check_sumo() -> Finding:
    """Returns whether SUMO runs: a separate process simulates a network of one lane with libsumo."""
    with scratch_folder("roadsense_doctor_") as folder:
        (folder / "net.xml").write_text(ONE_LANE)
        code = (
            "from roadsense.envs.sumo.in_process import libsumo; "
            f"libsumo.start(['sumo', '-n', {str(folder / 'net.xml')!r}, '--no-step-log', 'true']); "
            "libsumo.simulationStep(1.0); print(libsumo.getVersion()[1]); libsumo.close()"
        )
        done = _run([sys.executable, "-c", code])
    if done is not None and done.returncode == 0:
        return Finding("SUMO", OK, done.stdout.strip().splitlines()[-1])
    reason = "it did not end" if done is None else (done.stderr.strip().splitlines() or ["no reason"])[-1]
    packages = "libx11-6 libxext6 libxrender1 libgl1 libatomic1"
    return Finding("SUMO", MISSING, f"it does not start ({reason}). On Debian: apt-get install {packages}")


def check_compiled() -> Finding:
    """Returns whether the environment's step runs as compiled code."""
    reason = why_plain_python()
    if is_compiled():
        return Finding("compiled step", OK, "the environment runs compiled code")
    reason = reason or "the compiled files are for another Python"
    return Finding("compiled step", NOTE, f"the environment runs as plain Python and is slower: {reason}.")


def check_cores() -> Finding:
    """Returns how many cores this process may use."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if n_cores >= MIN_CORES:
        return Finding("cores", OK, f"{n_cores}")
    return Finding("cores", NOTE, f"{n_cores}; training takes {MIN_CORES} or more, and is slow here.")


def check_memory() -> Finding:
    """Returns how much memory is free, within the limit of a container."""
    free_gb = _free_memory_gb()
    if free_gb is None:
        return Finding("memory", NOTE, f"not known on this system; {MIN_MEMORY_GB:g} GB are needed.")
    if free_gb >= MIN_MEMORY_GB:
        return Finding("memory", OK, f"{free_gb:.1f} GB free")
    words = (
        f"{free_gb:.1f} GB free, {MIN_MEMORY_GB:g} are good to have. Close programs, or train with fewer --n_workers."
    )
    return Finding("memory", NOTE, words)


def check_disk(folder: Path) -> Finding:
    """Returns how much disk space is free in the folder for datasets and runs."""
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    free_gb = shutil.disk_usage(place).free / 1e9
    if not os.access(place, os.W_OK):
        return Finding("disk", MISSING, f"{place} cannot be written to. Work in a folder of your own.")
    level = OK if free_gb >= MIN_DISK_GB else NOTE
    return Finding("disk", level, f"{free_gb:.0f} GB free in {place}" + (", few for runs" if level == NOTE else ""))


def check_browser() -> Finding:
    """Returns whether there is a browser for the notebook tests; your own browser needs nothing."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found and Path(found).exists():
        return Finding("test browser", OK, found)
    return Finding("test browser", NOTE, "none; browser tests are skipped. On Debian: apt-get install chromium")


def check_engine() -> Finding:
    """Returns whether a container engine is installed and answers."""
    found = [engine for engine in CONTAINER_ENGINES if shutil.which(engine)]
    if not found:
        return Finding("container engine", NOTE, "none; jobs on this machine run without one. For images: docker")
    for engine in found:
        done = _run([engine, "version"])
        if done is not None and done.returncode == 0:
            return Finding("container engine", OK, engine)
    words = f"{found[0]} is there but does not answer. Start its service, or ask to be in its group."
    return Finding("container engine", NOTE, words)


def check_aws() -> Finding:
    """Returns whether packages and credentials for AWS are present. Sends nothing."""
    packages = _check_packages("AWS", ("boto3", "sagemaker"), "cloud,sagemaker")
    if packages.level != OK:
        return packages
    files = [Path(os.environ.get(name, Path.home() / ".aws" / file)) for name, file in
             (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config"))]  # fmt: skip
    named = any(name in os.environ for name in CREDENTIAL_VARIABLES) or any(path.is_file() for path in files)
    if not named:
        words = "no credentials; needed for EC2 and SageMaker only. `aws configure sso`, or set AWS_PROFILE"
        return Finding("AWS", NOTE, words)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    words = f"credentials are named, region {region or 'as in the configuration'}; `roadsense doctor --aws` tries them"
    return Finding("AWS", OK, words)


def _check_packages(what: str, names: Sequence[str], extra: str) -> Finding:
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if not missing:
        return Finding(what, OK, ", ".join(names))
    return Finding(what, NOTE, f"{', '.join(missing)} not installed. Run: pip install 'roadsense[{extra}]'")


def _run(command: Sequence[str]) -> "subprocess.CompletedProcess[str] | None":
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def _free_memory_gb() -> float | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    free_kb = next((int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
    if free_kb is None:
        return None
    limits = [free_kb * 1024.0]
    group = Path("/sys/fs/cgroup")
    try:
        limits.append(float((group / "memory.max").read_text()) - float((group / "memory.current").read_text()))
    except (OSError, ValueError):  # no such group, or "max": no limit
        pass
    return min(limits) / 1e9


def report(findings: Iterable[Finding]) -> list[str]:
    """Prints each finding on a line as soon as it is there; returns the names of the missing required parts."""
    missing = []
    for finding in findings:
        sys.stdout.write(f"{finding.level:8}{finding.what:{WIDTH}}  {finding.words}\n")
        sys.stdout.flush()
        missing += [finding.what] if finding.level == MISSING else []
    return missing


def examine_and_print(config: DoctorConfig) -> None:
    """Checks the installation, or with --aws the AWS account, and prints what is missing and what to do.

    Raises:
        IncompleteError: if a required part is missing.
    """
    if config.aws:
        from roadsense.jobs.aws.doctor import examine_account

        missing = report(examine_account(config.bucket, config.repository, config.role, config.region))
    else:
        missing = report(examine(config))
    if missing:
        raise IncompleteError(f"{', '.join(missing)} missing: see above what to do.")
