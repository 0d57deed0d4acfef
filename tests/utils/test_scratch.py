"""Folders for work in progress: gone at the end, and gone after a kill."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from roadsense.utils.scratch import GRACE_S, scratch_folder

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


def test_folders_of_others_stay(tmp_path):
    (tmp_path / "workshop").mkdir()
    (tmp_path / "work_fresh").mkdir()
    old = tmp_path / "work_old"
    old.mkdir()
    long_ago = old.stat().st_mtime - 2 * GRACE_S
    os.utime(old, (long_ago, long_ago))
    (tmp_path / "work_link").symlink_to(tmp_path / "workshop")
    with scratch_folder("work_", tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"workshop", "work_fresh", "work_link"}


def test_many_at_once_never_take_each_others_folders(tmp_path):
    def work(number):
        with scratch_folder("work_", tmp_path) as folder:
            (folder / "file").write_text(str(number))
            return (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(400)))
    assert list(tmp_path.iterdir()) == []
