"""The doctor finds what is there, and says what is missing, what for, and what to do."""

import subprocess
import sys
from pathlib import Path

import pytest

from roadsense import doctor
from roadsense.cli import main
from roadsense.doctor import MISSING, NOTE, OK, DoctorConfig, examine


def test_a_whole_installation_passes(tmp_path, capsys):
    assert main(["doctor", "--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok") and "SUMO 1.28" in line for line in lines)
    assert len(lines) == len(examine(DoctorConfig(tmp_path)))


def test_a_sumo_that_does_not_start_is_missing_and_its_reason_is_told(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'ImportError: libGL.so.1: cannot open shared object file' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    found = doctor.check_sumo()
    assert found.level == MISSING
    assert "libGL.so.1" in found.words
    assert "apt-get install" in found.words


def test_what_everything_needs_makes_the_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert main(["doctor"]) == 1
    assert "SUMO missing" in capsys.readouterr().err


def test_engine_and_browser_are_looked_for_on_the_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROMIUM", raising=False)
    assert doctor.check_engine().level == NOTE
    assert "apt-get install chromium" in doctor.check_browser().words
    for name, code in (("docker", 1), ("chromium", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {code}\n")
        (tmp_path / name).chmod(0o755)
    assert "does not answer" in doctor.check_engine().words
    assert doctor.check_browser().level == OK
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 0\n")
    assert doctor.check_engine().level == OK


def test_a_folder_that_is_not_there_yet_is_judged_by_what_it_will_lie_in(tmp_path):
    assert str(tmp_path) in doctor.check_disk(tmp_path / "runs" / "new").words


def test_credentials_are_looked_for_and_nobody_is_asked(tmp_path, monkeypatch):
    for name in doctor.CREDENTIAL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    assert doctor.check_aws().level == NOTE
    monkeypatch.setenv("AWS_PROFILE", "mine")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert doctor.check_aws().level == OK
    assert "eu-central-1" in doctor.check_aws().words


@pytest.mark.skipif(not Path("/proc/meminfo").is_file(), reason="no /proc here")
def test_memory_is_what_the_system_says():
    words = doctor.check_memory().words
    kb = int(subprocess.run(["awk", "/MemTotal/{print $2}", "/proc/meminfo"], capture_output=True, text=True).stdout)
    assert 0 < float(words.split()[0]) <= kb * 1024 / 1e9
