"""A stage on which a machine's script runs for real, in a mount namespace of its own.

Stand-ins only for Docker (the container is a process), `shutdown`, the installation of packages, and the metadata
address. S3 is moto's, the runner and the notebook are the real ones.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

STAND_INS = Path(__file__).parent / "stand_ins"
RECORDED = ("shutdown", "apt-get", "dnf", "systemctl")
NAMESPACES = ("--mount", "--pid", "--fork", "--mount-proc", "--kill-child=KILL")
"""Of its own: what is mounted, and processes, so that none of them outlives the script."""
SETUP = """
set -e
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mount -t tmpfs tmpfs /opt/ml
mount -t tmpfs tmpfs /srv
mount -t tmpfs tmpfs /var/lib
[ ! -e /dev/console ] || mount --bind /dev/null /dev/console
"$STAGE_PYTHON" "$STAND_INS/aws.py" "$STAGE/queue" &
until [ -e "$STAGE/queue/ready" ]; do sleep 0.05; done
exec bash "$STAGE/user-data"
"""


class Stage:
    """A machine: its folder holds what the stand-ins write, and says what they do."""

    def __init__(self, folder: Path, environment: dict[str, str]):
        self.folder = folder
        tools = folder / "bin"
        tools.mkdir(parents=True)
        (folder / "queue").mkdir()
        for name in ("aws", "curl", "docker"):
            shutil.copy(STAND_INS / name, tools / name)
        for name in RECORDED:
            shutil.copy(STAND_INS / "recorder", tools / name)
        for path in tools.iterdir():
            path.chmod(0o755)
        self.environment = {
            **environment,
            "STAGE": str(folder),
            "STAGE_PYTHON": sys.executable,
            "STAND_INS": str(STAND_INS),
            "PATH": f"{tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TMUX_TMPDIR": str(folder),
        }

    def start(self, script: str) -> subprocess.Popen[str]:
        """Starts a script as the first boot would."""
        (self.folder / "user-data").write_text(script)
        return subprocess.Popen(
            ["unshare", *NAMESPACES, "bash", "-c", SETUP],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, script: str, timeout_s: float = 120) -> tuple[int, str]:
        """Runs a script to its end; returns its exit code and what it said."""
        return self.finish(self.start(script), timeout_s)

    def finish(self, process: subprocess.Popen[str], timeout_s: float = 120) -> tuple[int, str]:
        """Waits for a script; whatever of it is left afterwards is ended."""
        try:
            said, _ = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
        return process.returncode, said

    def calls(self, tool: str) -> list[str]:
        """Returns the arguments a stand-in was called with, a text for each call."""
        path = self.folder / f"{tool}.calls"
        return path.read_text().splitlines() if path.exists() else []


def wait_for(condition, timeout_s: float = 60) -> None:
    """Waits until a condition holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "it did not happen in time"
        time.sleep(0.2)


def can_be_set() -> str:
    """Returns why no stage can be set here, or nothing."""
    if os.geteuid() != 0:
        return "a mount namespace needs root"
    if subprocess.run(["unshare", *NAMESPACES, "true"], check=False, capture_output=True).returncode:
        return "this machine allows no mount namespace"
    return ""


@pytest.fixture
def stage(aws: str, tmp_path: Path) -> Iterator[Stage]:
    reason = can_be_set()
    if reason:
        pytest.skip(reason)
    root = Path("/opt/ml")
    is_new = not root.exists()
    root.mkdir(parents=True, exist_ok=True)
    names = [name for name in os.environ if name.startswith("AWS_")]
    yield Stage(tmp_path / "stage", {"HOME": "/tmp", "LANG": "C.UTF-8", **{name: os.environ[name] for name in names}})
    if is_new:
        root.rmdir()
