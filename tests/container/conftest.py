"""Images that were built before, and an engine that runs them: docker/ci.sh sees to both."""

import os
import subprocess
from pathlib import Path

import pytest

from roadsense.jobs.local.engine import Engine, find_engine

ROOT = Path(__file__).parents[2]
USER = 1000


@pytest.fixture(scope="session")
def engine() -> Engine:
    """An engine that has the images `roadsense:run` and `roadsense:test`."""
    if not os.environ.get("ROADSENSE_CONTAINER_TESTS"):
        pytest.skip("run by docker/ci.sh, which builds the images")
    return find_engine()


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> int:
    """Containers belong to a person who is not root, as with sudo; returns that person's number."""
    if os.geteuid() != 0:
        return os.getuid()
    monkeypatch.setenv("SUDO_UID", str(USER))
    monkeypatch.setenv("SUDO_GID", str(USER))
    return USER


@pytest.fixture
def run_docker(engine: Engine, caller: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs docker/run_docker.sh with folders of the test's own; returns what it wrote to standard output."""
    runs, scenarios = tmp_path / "runs", tmp_path / "scenarios"
    subprocess.run(["cp", "-r", ROOT / "scenarios", scenarios], check=True)
    runs.mkdir()
    os.chown(scenarios, caller, caller)
    monkeypatch.setenv("ROADSENSE_ENGINE", engine.program)
    monkeypatch.setenv("ROADSENSE_RUNS", str(runs))
    monkeypatch.setenv("ROADSENSE_SCENARIOS", str(scenarios))

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run([ROOT / "docker" / "run_docker.sh", *words], capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    return run
