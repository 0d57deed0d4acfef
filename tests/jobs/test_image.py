"""An image's name tells what is in it."""

import shutil
import subprocess
import sys

import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.jobs.local.engine import Engine, find_engine
from roadsense.jobs.local.image import CONTENT, ROOT, ImageConfig, build_image, hash_content
from roadsense.utils.git_state import read_git_state


@pytest.fixture
def project(tmp_path):
    """What an image is made of, copied."""
    for name in (*CONTENT, "tests/__init__.py"):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, target)
    return tmp_path


@pytest.mark.parametrize(
    "name",
    ["roadsense/jobs/runner.py", "notebooks/01_train.ipynb", "requirements.lock", "docker/Dockerfile", "README.md"],
)
def test_a_change_of_anything_in_it_changes_its_name(project, name):
    before = hash_content(ImageConfig(), project)
    assert hash_content(ImageConfig(), project) == before
    path = project / name
    content = path.read_bytes()
    path.write_bytes(content + b"\n")
    assert hash_content(ImageConfig(), project) != before
    path.write_bytes(content)
    assert hash_content(ImageConfig(), project) == before
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
