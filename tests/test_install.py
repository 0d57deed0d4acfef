"""install/install.sh with real uv, on indexes of this machine that hold packages of one file each."""

import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = """
[project]
name = "small"
version = "1"
dependencies = ["libsumo", "eclipse-sumo"]
[project.optional-dependencies]
train = ["torch==2.13.0"]
"""
LIBRARIES = {"libsumo": {"libsumo.py": "", "libsumo.libs/a.so": "same", "libsumo.libs/b.so": "mine"},
             "eclipse_sumo": {"eclipse_sumo.libs/a.so": "same", "eclipse_sumo.libs/b.so": "its own"}}  # fmt: skip


def write_wheel(folder: Path, name: str, version: str, files: dict[str, str] | None = None) -> None:
    """Writes a wheel that holds these files."""
    folder.mkdir(parents=True, exist_ok=True)
    about = f"{name}-{version}.dist-info"
    texts = {
        **(files or {}),
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    texts[f"{about}/RECORD"] = "".join(f"{path},,\n" for path in [*texts, f"{about}/RECORD"])
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in texts.items():
            wheel.writestr(path, text)


@dataclass
class Place:
    """A small project, and the addresses where its packages are."""

    project: Path
    wheels: Path
    cpu_index: str
    environment: dict[str, str]

    @property
    def packages(self) -> Path:
        return next((self.project / "venv").glob("lib/python3*/site-packages"))

    def install(self, *words: str, code: int = 0, **environment: str) -> str:
        """Runs the script; returns what it said."""
        command = [self.project / "install" / "install.sh", "--packages-only", *words]
        variables = self.environment | environment
        done = subprocess.run(command, cwd=self.project, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stderr

    def torch(self) -> str:
        """Version of the PyTorch that was installed, which is taken out again."""
        (about,) = self.packages.glob("torch-*.dist-info")
        shutil.rmtree(about)
        return about.name.removeprefix("torch-").removesuffix(".dist-info")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    folder = tmp_path_factory.mktemp("install")
    (folder / "project" / "install").mkdir(parents=True)
    shutil.copy(ROOT / "install" / "install.sh", folder / "project" / "install")
    (folder / "project" / "pyproject.toml").write_text(PYPROJECT)
    (folder / "project" / "requirements.lock").write_text("torch==2.13.0\nnewest==1\n")
    for name, files in LIBRARIES.items():
        write_wheel(folder / "served" / "usual" / name.replace("_", "-"), name, "1", files)
    write_wheel(folder / "served" / "usual" / "setuptools", "setuptools", "99")
    write_wheel(folder / "served" / "usual" / "torch", "torch", "2.13.0")
    write_wheel(folder / "served" / "usual" / "torch", "torch", "2.14.0")
    write_wheel(folder / "served" / "cpu" / "torch", "torch", "2.13.0+cpu")
    write_wheel(folder / "wheels", "torch", "2.13.0+cpu")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder / "served")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "TORCH_"))}
        environment = kept | {
            "HOME": str(folder), "PATH": f"{Path(uv).parent}:{os.environ['PATH']}", "PYTHON": sys.executable,
            "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": f"{address}/usual", "UV_CACHE_DIR": str(folder / "cache"),
        }  # fmt: skip
        yield Place(folder / "project", folder / "wheels", f"{address}/cpu", environment)
        server.shutdown()


def test_without_learning_no_pytorch_is_installed_and_equal_libraries_are_kept_once(place):
    said = place.install(str(place.project / "venv"))
    assert f"Python {sys.version.split()[0]}" in said
    assert not list(place.packages.glob("torch*"))
    ours, its = ({path.name: path for path in place.packages.glob(f"{name}.libs/*")} for name in LIBRARIES)
    assert ours["a.so"].samefile(its["a.so"])
    assert [ours["b.so"].read_text(), its["b.so"].read_text()] == ["mine", "its own"]


def test_a_wheel_on_this_machine_comes_first(place):
    said = place.install(str(place.project / "venv"), "train", PIP_FIND_LINKS=str(place.wheels))
    assert "PyTorch for CPUs from this machine" in said
    assert place.torch() == "2.13.0+cpu"


def test_an_index_for_cpus_comes_second(place):
    said = place.install(str(place.project / "venv"), "train", TORCH_INDEX=place.cpu_index)
    assert f"PyTorch for CPUs from {place.cpu_index}" in said
    assert place.torch() == "2.13.0+cpu"


def test_where_that_does_not_answer_the_usual_index_serves(place):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
        said = place.install(str(place.project / "venv"), "train", TORCH_INDEX=nobody)
    assert "PyTorch with CUDA from the usual index" in said
    assert "GB more to download" in said
    assert place.torch() == "2.13.0"


def test_no_python_and_no_folder_are_said(place, tmp_path):
    assert "Expected python9, found none" in place.install(str(tmp_path / "new"), code=2, PYTHON="python9")
    assert "Expected a folder for the environment, got none" in place.install(code=2)
