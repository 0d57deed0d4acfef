"""Old compiled code is never run: not after a change of a source, nor where plain Python is asked for."""

import json
import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from roadsense.utils.compiled import MODULES, PACKAGE, hash_sources

CODE = """
from roadsense.utils.compiled import is_compiled, why_plain_python
print(is_compiled(), why_plain_python())
import roadsense.envs.world
print(roadsense.envs.world.__file__)
"""


@pytest.fixture
def package(tmp_path):
    """A copy of the package, with a file beside one source that is no compiled module: importing it fails."""
    shutil.copytree(PACKAGE, tmp_path / "roadsense", ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.json"))
    (tmp_path / "roadsense" / "envs" / f"world{EXTENSION_SUFFIXES[0]}").write_bytes(b"no machine code")
    (tmp_path / "roadsense" / "compiled.json").write_text(json.dumps(hash_sources()))
    return tmp_path / "roadsense"


def run(package, **variables):
    environment = {**os.environ, "PYTHONPATH": str(package.parent), "ROADSENSE_PURE": "", **variables}
    command = [sys.executable, "-c", CODE]
    return subprocess.run(command, cwd=package.parent, env=environment, capture_output=True, text=True, check=False)


def test_what_was_compiled_from_these_sources_is_imported(package):
    done = run(package)
    assert done.stdout.split() == ["True"]
    assert "ImportError" in done.stderr
    assert "world" in done.stderr


def test_after_a_change_of_any_source_all_run_as_python(package):
    driver = package / "envs" / "driver.py"
    driver.write_text(driver.read_text() + "\n")
    done = run(package)
    assert "sources have changed" in done.stdout
    assert Path(done.stdout.split()[-1]) == package / "envs" / "world.py"


def test_compiled_files_without_a_record_are_not_used(package):
    (package / "compiled.json").unlink()
    assert run(package).stdout.startswith("False nothing was compiled")


def test_plain_python_can_be_asked_for(package):
    done = run(package, ROADSENSE_PURE="1")
    assert done.stdout.startswith("False ROADSENSE_PURE is set")
    assert done.returncode == 0


def test_every_module_that_is_compiled_has_a_source():
    assert len(hash_sources()) == len(MODULES) + 1  # and the reader of SUMO's states
