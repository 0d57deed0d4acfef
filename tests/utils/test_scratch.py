"""Folders for work in progress: gone at the end, and gone after a kill."""

import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roadsense.errors import InputError, MachineError
from roadsense.utils.scratch import MARK_NAME, arriving, scratch_folder

HOLD = """
import sys, time
from pathlib import Path
from roadsense.utils.scratch import scratch_folder
with scratch_folder("work_", Path(sys.argv[1])) as folder:
    (folder / "half_done").write_text("x" * 1000)
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder, and that folder."""
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        yield child, Path(child.stdout.readline().strip())
    finally:
        child.kill()
        child.wait()


def test_a_folder_is_gone_at_the_end_with_all_that_is_in_it(tmp_path):
    with scratch_folder("work_", tmp_path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_gone_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), scratch_folder("work_", tmp_path):
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next_start(tmp_path, holder):
    child, left = holder
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert (left / "half_done").is_file()
    with scratch_folder("work_", tmp_path):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_use_stays(tmp_path, holder):
    _, used = holder
    with scratch_folder("work_", tmp_path):
        assert (used / "half_done").is_file()


def test_folders_without_our_mark_stay_whatever_their_name_and_age(tmp_path, holder):
    child, left = holder
    child.send_signal(signal.SIGKILL)
    child.wait()
    for name in ("work_shop", "work_5.15-sources", "fresh_work_old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "precious").write_text("x")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "work_5.15-sources" / MARK_NAME).write_text("mine\n")
    shutil.copytree(left, tmp_path / "work_copy")
    (tmp_path / "work_link").symlink_to(tmp_path / "work_shop")
    with scratch_folder("work_", tmp_path):
        pass
    assert not left.exists()
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"work_shop", "work_5.15-sources", "fresh_work_old", "work_copy", "work_link"}
    assert (tmp_path / "work_copy" / "half_done").is_file()


def test_temporary_files_lie_in_a_private_folder(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with scratch_folder("work_") as folder:
        assert folder.parent.parent == tmp_path
        assert folder.parent.stat().st_mode & 0o777 == 0o700
    parent = folder.parent
    parent.chmod(0o755)
    with pytest.raises(MachineError, match="mode 700"), scratch_folder("work_"):
        pass
    parent.rmdir()
    parent.symlink_to(tmp_path)
    with pytest.raises(MachineError, match="mode 700"), scratch_folder("work_"):
        pass


def test_many_at_once_never_take_each_others_folders(tmp_path):
    def work(number):
        with scratch_folder("work_", tmp_path) as folder:
            (folder / "file").write_text(str(number))
            return (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
    assert list(tmp_path.iterdir()) == []


def test_a_new_folder_is_there_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), arriving(tmp_path / "deep" / "new"):
        1 / 0  # noqa: B018
    assert list((tmp_path / "deep").iterdir()) == []
    with arriving(tmp_path / "new") as part:
        (part / "file").write_text("x")
        assert not (tmp_path / "new").exists()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file"]


def write_at_once(path):
    path.parent.mkdir()
    path.touch()


def test_of_two_that_make_a_folder_the_later_is_refused_and_changes_nothing(tmp_path):
    first = tmp_path / "new" / "first"
    with pytest.raises(InputError, match="new folder for the report"), arriving(first.parent, "the report"):
        write_at_once(first)
    assert list(tmp_path.rglob("*")) == [first.parent, first]
