"""Worker processes end with the program, however that ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from roadsense.errors import MachineError
from roadsense.utils import worker_processes
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.worker_processes import close_pool, map_in_workers, run_in_workers, start_pool

PROGRAM = """
import os, time
from roadsense.errors import MachineError
from roadsense.utils.scratch import scratch_folder
from roadsense.utils.worker_processes import start_pool

if __name__ == "__main__":
    with start_pool(3, ["json"]) as pool:
        workers = set(pool.map(sleep_and_tell, range(12)))
        print(*workers, flush=True)
        list(pool.map(time.sleep, [60] * 3))
"""
WORK = "import os, time\n\n\ndef sleep_and_tell(_):\n    time.sleep(0.05)\n    return os.getpid()\n"


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_program_leaves_no_worker_and_no_files(tmp_path, end, monkeypatch):
    temporary = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))  # a socket's path has a limit of 107 characters
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "program.py").write_text("from work import sleep_and_tell" + PROGRAM)
    child = subprocess.Popen(
        [sys.executable, tmp_path / "program.py"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    with child:
        workers = [int(word) for word in child.stdout.readline().split()]
        assert workers
        assert all(map(lives, workers))
        os.kill(child.pid, end)
    limit_s = time.monotonic() + 10
    while any(map(lives, workers)) and time.monotonic() < limit_s:
        time.sleep(0.05)
    assert not any(map(lives, workers))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    with scratch_folder("mp-") as own:  # the next program cleans up
        (private,) = temporary.iterdir()
        assert list(private.iterdir()) == [own]
    shutil.rmtree(temporary)


def test_a_pool_works_and_is_started_as_asked():
    with start_pool(2, [], os.putenv, ("ROADSENSE_TEST", "1")) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


def act(folder: Path, item: int) -> int:
    """Kills or stops its process the first time it gets item 3 or 4, and always with item 9."""
    mark = folder / str(item)
    if item == 9 or (item in (3, 4) and not mark.exists()):
        mark.touch()
        os.kill(os.getpid(), signal.SIGSTOP if item == 4 else signal.SIGKILL)
    return item * item


def test_a_worker_that_dies_or_stands_still_is_replaced(tmp_path):
    assert list(map_in_workers(act, range(6), tmp_path, 2, limit_s=3.0)) == [0, 1, 4, 9, 16, 25]
    assert (tmp_path / "3").exists()
    assert (tmp_path / "4").exists()


@pytest.mark.parametrize("moment", ["before its first item", "without an item"])
def test_a_worker_that_stands_still_outside_a_call_holds_nothing_up(moment, tmp_path, monkeypatch):
    monkeypatch.setattr("roadsense.utils.worker_processes.END_PATIENCE_S", 1.0)
    if moment == "without an item":
        pool = start_pool(1, [])
        pool.submit(os.getpid).result()
        (pid,) = pool._processes
        os.kill(pid, signal.SIGSTOP)
        close_pool(pool)
        assert not lives(pid)
    else:
        monkeypatch.setattr("roadsense.utils.worker_processes.START_LIMIT_S", 8.0)
        monkeypatch.setattr("roadsense.utils.worker_processes._keep_state", stop_once)
        assert list(map_in_workers(act, range(2), tmp_path, 1, limit_s=3.0)) == [0, 1]


def tell_process(_, item: int) -> tuple[int, int]:
    """Returns the item and its process."""
    return item, os.getpid()


def test_a_worker_that_dies_between_two_items_is_replaced():
    results = map_in_workers(tell_process, range(3), None, 1)
    first, pid = next(results)
    os.kill(pid, signal.SIGKILL)
    while lives(pid):
        time.sleep(0.01)
    time.sleep(0.2)  # the pool hears of it a little later
    assert [first, *(item for item, _ in results)] == [0, 1, 2]


def stop_once(folder: Path) -> None:
    """Stops a process that starts, the first one."""
    worker_processes._kept_state[:] = [folder]
    if not (folder / "stopped").exists():
        (folder / "stopped").touch()
        os.kill(os.getpid(), signal.SIGSTOP)


def test_an_item_that_ends_every_worker_is_an_error_that_names_it_after_the_others(tmp_path):
    done = []
    with pytest.raises(MachineError, match="3 worker processes died or stood still over 9"):
        done.extend(index for index, _ in run_in_workers(act, [9, 1, 2], tmp_path, 1))
    assert done == [1, 2]  # with one process, the item that ends it waits behind the others
