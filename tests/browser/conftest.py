"""A real JupyterLab on a free port, with folders of its own, and Debian's Chromium to look at it.

Pictures go to `$ROADSENSE_SHOT_DIR`, by default `.pytest_cache/screenshots`. Nothing leaves this machine.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
SHOTS = Path(os.environ.get("ROADSENSE_SHOT_DIR", ROOT / ".pytest_cache" / "screenshots"))
BROWSER_OPTIONS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-dev-shm-usage", "--force-color-profile=srgb",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]  # fmt: skip
START_S, WAIT_MS = 60.0, 60_000


def pytest_collection_modifyitems(items):
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    missing = [name for name in ("playwright", "jupyterlab") if find_spec(name) is None]
    if not Path(CHROMIUM).is_file():
        missing.append(f"Chromium at {CHROMIUM} (on Debian: apt-get install chromium, else set CHROMIUM)")
    for item in here if missing else ():
        item.add_marker(pytest.mark.skip(reason=f"not installed: {', '.join(missing)}"))


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: its address, token and root folder."""

    url: str
    token: str
    root: Path


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The project's folder as a newcomer has it: notebooks, roads and the settings of `make lab`."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("notebooks", "lab"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copytree(ROOT / "scenarios" / "base", folder / "scenarios" / "base")
    return folder


@pytest.fixture(scope="module")
def lab(workspace, tmp_path_factory):
    folder, token, port = tmp_path_factory.mktemp("jupyter"), secrets.token_hex(16), _free_port()
    places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_SETTINGS_DIR",
              "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR")  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if name != "ROADSENSE_HEADLESS"}
    environment |= {name: str(folder / name.lower()) for name in places} | {"PYTHONPATH": str(ROOT)}
    options = [
        f"--config={workspace / 'lab' / 'jupyter_lab_config.py'}", "--no-browser", "--allow-root", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    log = folder / "lab.log"
    with log.open("w") as output:
        command = [sys.executable, "-m", "jupyterlab", *options]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(process, f"{url}/api/status?token={token}", log)
            yield Lab(url, token, workspace)
        finally:
            _end(process)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_for(process, address, log):
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start: {log.read_text()[-2000:]}")


def _end(process):
    for way in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, way)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                continue


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=WAIT_MS)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_OPTIONS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(WAIT_MS)
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


@pytest.fixture(scope="module")
def shoot(page):
    """Takes a picture of the page under a name."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return lambda name: page.screenshot(path=SHOTS / f"{name}.png")
