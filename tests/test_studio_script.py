"""The script that SageMaker Studio runs when a JupyterLab space starts."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roadsense.jobs.aws.sagemaker.request import check_request
from roadsense.jobs.parameters import read_parameters

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "lab" / "sagemaker_studio_start.sh"


def start(home, **variables):
    environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), **variables}
    return subprocess.run(["bash", SCRIPT, "--wait"], env=environment, capture_output=True, text=True, timeout=300)


def test_without_the_project_it_says_where_it_looked_and_what_to_set(tmp_path):
    done = start(tmp_path)
    assert done.returncode == 2
    assert f"{tmp_path}/roadsense" in done.stdout
    assert "ROADSENSE_REPOSITORY" in done.stdout


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="needs an environment that is installed already")
def test_in_an_installed_environment_it_leaves_a_kernel_and_a_report(tmp_path):
    environment = tmp_path / "environment"
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    files = (ROOT / "requirements.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    (environment / ".ready").write_text(f"{hashlib.sha256(files).hexdigest()}  -\n")
    done = start(tmp_path, ROADSENSE_FOLDER=str(ROOT), ROADSENSE_ENVIRONMENT=str(environment))
    assert done.returncode == 0, done.stderr
    kernel = json.loads((tmp_path / ".local/share/jupyter/kernels/python3/kernel.json").read_text())
    assert kernel["argv"][0].startswith(str(environment))
    assert "SUMO 1.28" in done.stdout
    assert done.stdout.splitlines()[-1].endswith("notebooks/README.md")


def test_what_attaches_the_image_fits_the_service_s_model():
    config = json.loads((ROOT / "lab" / "studio_app_image_config.json").read_text())
    check_request("CreateAppImageConfig", config)
    page = (ROOT / "docs" / "how-to" / "sagemaker.md").read_text()
    settings = json.loads(re.search(r"--default-user-settings '(.*?)'", page, re.DOTALL)[1])
    check_request("UpdateDomain", {"DomainId": "d-0123456789ab", "DefaultUserSettings": settings})
    (image,) = settings["JupyterLabAppSettings"]["CustomImages"]
    assert image["AppImageConfigName"] == config["AppImageConfigName"]


def test_every_notebook_is_ready_to_be_scheduled():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        notebook = json.loads(path.read_text())
        parameters = read_parameters(path)  # raises without exactly one cell for them
        assert len(parameters) <= 100, path
        assert notebook["metadata"]["kernelspec"]["name"] == "python3", path
