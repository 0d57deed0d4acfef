"""Progress: whole lines in a log, a live bar in a terminal."""

import os
import re
import subprocess
import sys
import termios

import pytest

from roadsense.utils import progress

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
SILENT = """
import time
from roadsense.utils.progress import progress_bar
with progress_bar(7, "exporting", "step"):
    time.sleep(2.6)
"""
SLOW = """
import time
from roadsense.utils import progress
progress.TICK_S, progress.TERMINAL_INTERVAL_S = 0.1, 0.0
with progress.progress_bar(100, "exporting", "step") as bar:
    for _ in range(3):
        time.sleep(0.8)
        bar.update()
"""
WORKING = """
import time
from roadsense.utils.progress import working
with working("opening"):
    time.sleep({seconds})
"""
FREQUENT = "import time, roadsense.utils.progress as p; p.HEADLESS_INTERVAL_S = 0.2\n" + QUICK.replace(
    "bar.update()", "bar.update(); time.sleep(0.002)"
)


LOADING = """
import ipykernel.kernelapp
from roadsense.utils import progress
from roadsense.utils.lazy import import_lazily
progress._is_kernel = lambda: True
get, _ = import_lazily("package", {"first": "slow", "second": "slow"})
get("first"), get("second")
"""


def test_a_notebook_says_that_it_loads_a_library(tmp_path):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(2.2)\nfirst = second = 1\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {name: value for name, value in os.environ.items() if name != progress.HEADLESS_VARIABLE}
    command = [sys.executable, "-c", LOADING]
    done = subprocess.run(command, capture_output=True, check=True, env=environment | {"PYTHONPATH": paths})
    lines = done.stdout.decode().split("\r")
    assert sum("loading first [00:0" in line for line in lines) >= 2
    assert "second" not in done.stdout.decode()
    assert done.stderr == b""


IN_CELLS = """
import ipykernel.kernelapp
from IPython.core.interactiveshell import InteractiveShell
from roadsense.utils import progress
progress._is_kernel = lambda: True
shell = InteractiveShell.instance()
shell.run_cell("from roadsense import widgets\\nimport slow\\n{last}")
shell.run_cell("import time; print('next cell'); time.sleep(1.5)")
"""


@pytest.mark.parametrize("last", ["", "widgets.follow_theme()"])
def test_a_first_cell_says_that_it_loads_figures_and_no_later_cell_does(tmp_path, last):
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(2.2)\n")
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {name: value for name, value in os.environ.items() if name != progress.HEADLESS_VARIABLE}
    environment |= {"PYTHONPATH": paths, "IPYTHONDIR": str(tmp_path)}
    command = [sys.executable, "-c", IN_CELLS.format(last=last)]
    told = subprocess.run(command, capture_output=True, check=True, env=environment, text=True).stdout
    first, later = told.split("next cell")
    assert first.count("loading figures [00:0") >= 2
    assert "loading" not in later


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
    told = run_headless(NESTED).stderr
    assert b"\r" not in told
    assert b"\x1b" not in told
    assert b"\n\n" not in told


def read_screen(screen):
    """Returns what else is on the screen of a terminal whose program has ended; Linux says so with an error."""
    try:
        return screen.read(10_000)
    except OSError:
        return b""


def run_in_terminal(code):
    """Returns all that a program wrote to its terminal."""
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (40, 100))
    subprocess.run([sys.executable, "-c", code], stderr=follower, check=True, timeout=60)
    os.close(follower)
    told = b""
    with os.fdopen(leader, "rb", buffering=0) as screen:
        while chunk := read_screen(screen):
            told += chunk
    return told


def test_a_terminal_gets_one_live_line():
    told = run_in_terminal(QUICK)
    assert b"\r" in told
    assert b"500/500" in told


def test_the_time_goes_on_while_the_work_is_silent():
    told = run_in_terminal(SILENT)
    assert [second for second in (1, 2) if f"0/7 [00:0{second}<".encode() in told] == [1, 2]


def test_the_time_that_is_left_counts_the_whole_of_slow_steps():
    told = run_in_terminal(SLOW).decode()
    left_s = [60 * int(minutes) + int(seconds) for minutes, seconds in re.findall(r" 3/100 \[00:0\d<(\d+):(\d+)", told)]
    assert left_s
    assert min(left_s) > 60


def test_what_was_done_before_counts_for_no_speed():
    told = run_in_terminal(SLOW.replace('"step")', '"step", done=90)').replace("range(3)", "range(2)")).decode()
    assert " 90/100 [00:00<" in told
    rates = [float(rate) for rate in re.findall(r"9[12]/100 .* (\d+\.\d+)step/s", told)]
    assert rates
    assert max(rates) < 2


def test_work_without_steps_has_a_sign_from_the_first_second_and_none_if_it_is_short():
    told = run_in_terminal(WORKING.format(seconds=2.4))
    assert b"opening [00:01]" in told
    assert told.endswith(b"opening [00:02]\r\n")
    assert told.count(b"\n") == 1
    assert run_in_terminal(WORKING.format(seconds=0.1)) == b""
    assert run_headless(WORKING.format(seconds=0.1)).stderr == b""


def test_a_log_says_once_how_long_work_without_steps_took():
    often = "import roadsense.utils.progress as p; p.HEADLESS_INTERVAL_S = 0.2\n"
    told = run_headless(often + WORKING.format(seconds=0.5)).stderr
    assert told.count(b"opening [00:00]") == 1


def test_of_bars_within_bars_one_line_is_seen_and_the_outer_one_stays():
    told = run_in_terminal(NESTED)
    assert told.count(b"\n") == 1  # no line piles up, and no cursor moves up
    assert b"\x1b[A" not in told
    assert b"inner" in told
    last = told.decode().replace("\r\n", "\n").rstrip("\n").split("\r")[-1]
    assert last.startswith("outer: 100%")


@pytest.mark.parametrize(("is_notebook", "output", "errors"), [(True, "a note\n", ""), (False, "", "a note\n")])
def test_a_note_is_no_error_in_a_notebook(monkeypatch, capsys, is_notebook, output, errors):
    monkeypatch.setattr(progress, "_is_kernel", lambda: is_notebook)
    progress.say("a note")
    assert capsys.readouterr() == (output, errors)
