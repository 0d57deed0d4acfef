"""Worker processes end with the program, however that ends."""

import os
import signal
import subprocess
import sys
import time

import pytest

from roadsense.utils.worker_processes import start_pool

PROGRAM = """
import os, time
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
def test_a_killed_program_leaves_no_worker(tmp_path, end):
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "program.py").write_text("from work import sleep_and_tell" + PROGRAM)
    child = subprocess.Popen([sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, text=True)
    with child:
        workers = [int(word) for word in child.stdout.readline().split()]
        assert workers
        assert all(map(lives, workers))
        os.kill(child.pid, end)
    limit_s = time.monotonic() + 10
    while any(map(lives, workers)) and time.monotonic() < limit_s:
        time.sleep(0.05)
    assert not any(map(lives, workers))


def test_a_pool_works_and_is_started_as_asked():
    with start_pool(2, [], os.putenv, ("ROADSENSE_TEST", "1")) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]
