"""A process beside the program: dead or standing still, its call is done again; what always dies is an error."""

import os
import signal

import pytest

from roadsense.errors import ExportError
from roadsense.utils import side_process
from roadsense.utils.side_process import side_processes


def fall_at_first(folder, number):
    """Sends its own process a signal the first time, and then returns the process."""
    mark = folder / f"begun_{number}"
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), number)
    return os.getpid()


def always_die():
    print("out of memory, say", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def add(one, other):
    return one + other


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_call_is_done_again_in_a_new_process_and_so_is_what_waits_behind_it(number, tmp_path, monkeypatch):
    monkeypatch.setattr(side_process, "STANDS_STILL_S", 3.0)
    with side_processes("conversion") as (process,):
        before = process.take(process.start(os.getpid))
        falls, waits = process.start(fall_at_first, tmp_path, number), process.start(add, 1, 2)
        assert process.take(falls) != before
        assert process.take(waits) == 3


def test_a_process_that_always_dies_is_an_error_with_the_end_of_its_output():
    with side_processes("conversion") as (process,):
        with pytest.raises(ExportError, match=r"conversion failed(.|\n)*out of memory, say"):
            process.take(process.start(always_die))
        assert process.take(process.start(add, 1, 2)) == 3
