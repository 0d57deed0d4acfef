"""How a command ends: one line, the right exit code, and nothing that confuses a terminal."""

import errno
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from roadsense.cli import main
from roadsense.errors import InputError, MachineError
from roadsense.utils.command import DEBUG_VARIABLE, run_command
from roadsense.utils.files import check_writable, describe_os_error, hold, read_checked, read_json, record_sum


def fail(error):
    def action():
        raise error

    return action


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OSError(errno.ENOSPC, "x", "/tmp/model.zip"), 3, r"disk is full \(\d+ MB free\). Free some space"),
        (OSError(errno.EROFS, "x", "/tmp/model.zip"), 3, "'/tmp/model.zip': the disk is read-only. Name another"),
        (PermissionError(errno.EACCES, "x", "/root/x"), 3, "permission is denied"),
        (OSError(errno.ENAMETOOLONG, "x", "a" * 300), 3, "the name is too long"),
        (NotADirectoryError(errno.ENOTDIR, "x", "/etc/passwd/x"), 3, "a part of the path is a file"),
        (FileNotFoundError(errno.ENOENT, "x", "/nowhere"), 3, "no such file or folder"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (InputError("no \x1b[2J good"), 2, r"no \\x1b\[2J good"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(error, code, said, capsys):
    assert run_command(fail(error)) == code
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert re.search(said, printed)


def test_debug_shows_the_traceback(monkeypatch, capsys):
    monkeypatch.setenv(DEBUG_VARIABLE, "")
    assert main(["verify", "--debug", "/nowhere"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_output_that_nobody_reads_is_no_error():
    code = (
        "import sys; from roadsense.utils.command import run_command as run; sys.exit(run(lambda: print('x' * 10**6)))"
    )
    done = subprocess.run(["bash", "-c", f'"{sys.executable}" -c "{code}" | true; echo ${{PIPESTATUS[0]}}'],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.strip() == "0"
    assert done.stderr == ""


@pytest.mark.parametrize("content", ["", "{", '{"a": 1', "\x00\xff"])
def test_damaged_json_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=r"config.json: expected settings, but the file is damaged"):
        read_json(tmp_path / "config.json", "settings")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "other.json", "settings")


def test_a_file_that_was_changed_since_it_was_made_is_refused(tmp_path):
    path = tmp_path / "model.zip"
    path.write_bytes(b"weights")
    assert read_checked(path) == b"weights"  # nothing is noted of files of earlier versions
    record_sum(path)
    assert read_checked(path) == b"weights"
    path.write_bytes(b"Weights")
    with pytest.raises(InputError, match="changed since"):
        read_checked(path)
    (tmp_path / "checksums.json").write_text(json.dumps([1]))
    with pytest.raises(InputError, match="expected an object"):
        read_checked(path)


def test_a_lock_is_held_by_one(tmp_path):
    with hold(tmp_path / "lock", "busy"):
        with pytest.raises(InputError, match="busy"), hold(tmp_path / "lock", "busy"):
            pass
    with hold(tmp_path / "lock", "busy"):
        pass


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write to")
def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(tmp_path):
    check_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(MachineError, match="Expected a folder to write to"):
        check_writable(Path("/proc/self"))


def test_the_path_and_the_cause_are_in_the_words():
    error = OSError(errno.ENOTDIR, "Not a directory", "/etc/passwd/run")
    assert describe_os_error(error).startswith("'/etc/passwd/run': a part of the path is a file")
