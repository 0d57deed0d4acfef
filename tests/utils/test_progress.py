"""Progress: whole lines in a log, a live bar in a terminal."""

import os
import subprocess
import sys
import termios

QUICK = """
from roadsense.utils.progress import progress_bar
with progress_bar(500, "proving", "scenario") as bar:
    for _ in range(500):
        bar.update()
"""
NESTED = """
from roadsense.utils.progress import progress_bar
with progress_bar(2, "outer", "round") as outer:
    for _ in range(2):
        with progress_bar(10, "inner", "step") as inner:
            inner.update(10)
        outer.update()
"""
FREQUENT = "import time, roadsense.utils.progress as p; p.HEADLESS_INTERVAL_S = 0.2\n" + QUICK.replace(
    "bar.update()", "bar.update(); time.sleep(0.002)"
)


def run_headless(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_a_log_gets_whole_lines_without_carriage_returns():
    done = run_headless(QUICK)
    assert done.stdout == b""
    assert b"\r" not in done.stderr
    assert b"\x1b" not in done.stderr
    lines = done.stderr.decode().split("\n")
    told = [line for line in lines if line]
    assert "proving" in told[0]
    assert "500/500" in told[-1]
    assert len(told) <= 3


def test_a_line_comes_every_interval_and_says_how_long_it_will_take():
    told = [line for line in run_headless(FREQUENT).stderr.decode().split("\n") if line]
    assert 3 <= len(told) <= 15
    assert all("proving" in line and "/500" in line for line in told)
    assert any("<" in line and "scenario/s" in line for line in told[1:])


def test_bars_within_bars_are_lines_too():
    assert b"\r" not in run_headless(NESTED).stderr


def read_screen(screen):
    """Returns what else is on the screen of a terminal whose program has ended; Linux says so with an error."""
    try:
        return screen.read(10_000)
    except OSError:
        return b""


def test_a_terminal_gets_one_live_line():
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (40, 100))
    subprocess.run([sys.executable, "-c", QUICK], stderr=follower, check=True, timeout=60)
    os.close(follower)
    told = b""
    with os.fdopen(leader, "rb", buffering=0) as screen:
        while chunk := read_screen(screen):
            told += chunk
    assert b"\r" in told
    assert b"500/500" in told
