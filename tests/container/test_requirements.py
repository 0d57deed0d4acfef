"""What of requirements.lock goes into an image."""

import subprocess
import sys

import pytest

from tests.container.conftest import ROOT

PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
[project]
dependencies = ["One_A>=1"]
[project.optional-dependencies]
more = ["two[big]>=2 ; python_version > '3'"]
rest = ["three"]
"""
LOCK = """# A comment.
below==0.1
    # via
    #   one-a
    #   three
deep.est==7
    # via below
one-a==1.5
    # via roadsense (pyproject.toml)
three==3.0
    # via roadsense (pyproject.toml)
two==2.0
    # via
    #   roadsense (pyproject.toml)
    #   three
# setuptools
"""


@pytest.fixture
def ask(tmp_path):
    """Runs the script on a project and a lock; returns its lines, or what it complained of."""

    def run(*extras, pyproject=PYPROJECT, lock=LOCK):
        (tmp_path / "project").write_text(pyproject)
        (tmp_path / "lock").write_text(lock)
        command = [
            sys.executable,
            ROOT / "docker" / "requirements.py",
            tmp_path / "project",
            tmp_path / "lock",
            *extras,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout.split("\n")[:-1] if done.returncode == 0 else done.stderr

    return run


def test_a_package_brings_all_it_needs_and_nothing_else(ask):
    base = ["below==0.1", "deep.est==7", "one-a==1.5"]
    assert ask() == [*base, "setuptools>=77"]
    assert ask("more") == [*base, "two==2.0", "setuptools>=77"]
    assert ask("rest") == [*base, "three==3.0", "two==2.0", "setuptools>=77"]


def test_an_unknown_extra_and_a_lock_that_is_too_old_are_said(ask):
    assert "Expected extras of ['more', 'rest'], got ['less']" in ask("less")
    assert "Expected one-a in requirements.lock" in ask(lock="below==0.1\n")


def test_the_project_s_own_lock_serves_every_target(ask):
    texts = {"pyproject": (ROOT / "pyproject.toml").read_text(), "lock": (ROOT / "requirements.lock").read_text()}
    run, lab = (set(ask("notebooks", "cloud", *more, **texts)) for more in ([], ["export", "lab"]))
    assert run < lab
    assert {line.partition("==")[0] for line in lab - run} >= {"tensorflow", "jupyterlab"}
