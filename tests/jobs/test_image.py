"""An image's name tells what is in it."""

import re
import shutil
import subprocess
import sys

import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.user_data import MachineSettings, write_user_data
from roadsense.jobs.local.engine import Engine, find_engine
from roadsense.jobs.local.image import ROOT, ImageConfig, build_image, hash_content, list_content
from roadsense.utils.git_state import read_git_state


@pytest.fixture
def project(tmp_path):
    """What an image is made of, copied."""
    for name in (*(name for name in list_content() if name != "tests"), "tests/__init__.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "roadsense/jobs/runner.py",
        "notebooks/01_train.ipynb",
        "requirements.lock",
        "docker/Dockerfile",
        "README.md",
        "setup.py",
        "install/install.sh",
        "scenarios/unseen",
        "drives/sample",
    ],
)
def test_a_change_of_anything_in_it_changes_its_name(project, name):
    before = hash_content(ImageConfig(), project)
    assert hash_content(ImageConfig(), project) == before
    path = project / name
    path = path if path.is_file() else next(each for each in sorted(path.rglob("*")) if each.is_file())
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert hash_content(ImageConfig(), project) != before
    path.write_bytes(content)
    assert hash_content(ImageConfig(), project) == before
    if path.name != "Dockerfile":  # without it there is no image
        path.rename(path.with_name("renamed"))
        assert hash_content(ImageConfig(), project) != before


def test_what_is_not_in_it_does_not(project):
    before, tested = hash_content(ImageConfig(), project), hash_content(ImageConfig("test"), project)
    cache = project / "roadsense" / "__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "x.pyc").write_bytes(b"x")
    (project / "runs").mkdir()
    (project / "runs" / "model.zip").write_bytes(b"x")
    assert hash_content(ImageConfig(), project) == before
    (project / "tests" / "test_new.py").touch()
    assert hash_content(ImageConfig(), project) == before
    assert hash_content(ImageConfig("test"), project) != tested


def test_target_platform_and_arguments_are_part_of_the_name():
    configs = [
        ImageConfig(),
        ImageConfig("export"),
        ImageConfig(platform="linux/arm64"),
        ImageConfig(build_args=("TORCH_INDEX=",)),
    ]
    assert len({hash_content(config) for config in configs}) == len(configs)


STAND_IN = """#!/bin/sh
[ "$1" != --version ] || { echo "$NAME version 1"; exit; }
case "$*" in "image inspect --format"*) echo 1000; exit;; "image inspect"*) exit 1;; esac
printf '%s\\n' "$@" >"$CALLS"
"""


@pytest.mark.parametrize(("name", "single"), [("Docker", "--provenance=false"), ("podman", "--format=docker")])
def test_it_is_built_for_the_machines_of_aws_as_one_image_and_no_index(tmp_path, monkeypatch, name, single):
    program, calls = tmp_path / name, tmp_path / "calls"
    program.write_text(STAND_IN)
    program.chmod(0o755)
    monkeypatch.setenv("NAME", name)
    monkeypatch.setenv("CALLS", str(calls))
    for config, platform in ((ImageConfig(), "linux/amd64"), (ImageConfig(platform="linux/arm64"), "linux/arm64")):
        assert build_image(config, Engine(str(program))).size == 1000
        words = calls.read_text().splitlines()
        assert words[:2] == ["build", single]
        assert words[words.index("--platform") + 1] == platform


def test_one_image_serves_sagemaker_whose_folders_are_root_s_and_everybody_else_by_a_user_of_their_own():
    stages = (ROOT / "docker" / "Dockerfile").read_text()
    assert "USER" not in [line.split(" ")[0] for line in stages.splitlines()]
    assert Engine("docker").user_options()[0].startswith("--user=")
    script = write_user_data(MachineSettings("a-job", "s3://cars/rs/jobs/a-job", "i", "eu-central-1", 60, 60))
    assert "docker run" in script
    assert re.search(r"docker run [^\n]*--user 1000:1000", script)


def test_the_image_of_jupyterlab_has_what_starts_jobs_on_sagemaker():
    (line,) = [
        each for each in (ROOT / "docker" / "Dockerfile").read_text().splitlines() if " lab " in each and "RUN" in each
    ]
    assert {"cloud", "sagemaker"} <= set(line.split())


def test_the_commit_is_that_of_the_folder(tmp_path):
    assert read_git_state(tmp_path).commit == ""
    git = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "Begin"], check=True)
    assert len(read_git_state(tmp_path).commit) == 40


def test_without_an_engine_it_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("ROADSENSE_ENGINE", "/no/such/engine")
    with pytest.raises(InputError, match="to answer, got nothing"):
        find_engine()
    assert main(["job", "image"]) == InputError.exit_code
    assert "Install and start one" in capsys.readouterr().err
    monkeypatch.setenv("ROADSENSE_ENGINE", sys.executable)  # there, but no engine
    with pytest.raises(InputError):
        find_engine()
    with pytest.raises(InputError, match="from a clone"):
        build_image(ImageConfig(), Engine("docker"), tmp_path)
    with pytest.raises(InputError, match="NAME=VALUE"):
        ImageConfig(build_args=("no value",))
