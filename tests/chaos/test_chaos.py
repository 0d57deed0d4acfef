"""Nothing is lost, whatever happens to a command: killed, stopped, no room, no permission, twice at once, bad input.

The short form is part of the suite; `make chaos` tries every cell of the table, the kills at many moments.
"""

import dataclasses
import importlib
import math
import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import pytest

from roadsense.cli import COMMANDS, main
from roadsense.errors import InputError
from roadsense.runs.run import Run
from roadsense.scenarios.dataset import Dataset
from tests.chaos.conftest import IS_LONG, Place, skip_long
from tests.chaos.table import FAULTS, LONG, SHORT, TABLE, cells
from tests.small_training import wait_until

MOMENTS = range(6 if IS_LONG else 1)
LIMIT_S = 900.0 if IS_LONG else 300.0
SMALL_BYTES = 150_000
"""Largest file of a process whose disk is full: less than a checkpoint has."""


def test_every_command_has_a_row_and_every_cell_a_form_or_a_reason():
    assert TABLE.keys() == COMMANDS.keys()
    assert all(test in globals() for test in FAULTS.values())
    for forms in TABLE.values():
        assert forms.keys() == FAULTS.keys()
        assert all(form in (SHORT, LONG) or len(form) > 15 for form in forms.values())


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Waits for a command; returns its exit code and what it said, which is never a traceback."""
    _, said = process.communicate(timeout=LIMIT_S)
    assert "Traceback" not in said
    return process.returncode, said


def begun(command: str, target: Path) -> bool:
    """Whether a command has done a part of its work."""
    marks = {
        "gen-scenarios": lambda: any(target.parent.glob(f".{target.name}*/**/*.sumocfg")) or target.exists(),
        "train": lambda: any(target.glob("checkpoints/*.pt")),
        "evaluate": lambda: any(path.stat().st_size for path in target.glob(".episodes_*")),
        "export": lambda: any(target.glob(".export.*")),
        "search": lambda: any(target.glob("trial_000/config.json")),
    }
    return marks[command]()


def check_done(command: str, target: Path, place: Place, evaluated: Path) -> None:
    """Checks that the result is the one that nothing disturbed."""
    if command == "gen-scenarios":
        assert Dataset.open(target).verify() == []
        assert Dataset.open(target).digest == Dataset.open(place.dataset).digest
    elif command == "evaluate":
        tables = [pd.read_parquet(folder / "episodes.parquet") for folder in (target / "evaluation", evaluated)]
        pd.testing.assert_frame_equal(*tables)
        assert not list(target.glob(".episodes_*"))
    elif command == "export":
        assert (target / "export" / "policy.tflite").is_file()
        assert not list(target.glob(".export.*"))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("command", "form"), cells("killed"))
def test_a_killed_command_is_continued_by_the_same(command, form, moment, place, evaluated, tmp_path):
    skip_long(form)
    target = place.target(command, tmp_path)
    process = place.start(command, target, start_new_session=True)
    wait_until(lambda: begun(command, target) or process.poll() is not None)
    time.sleep(random.Random(moment).uniform(0, 3) if IS_LONG else 0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    if command == "train":
        assert Run(target).read_state().name in ("failed", "trained")
        return
    code, said = finish(place.start(command, target))
    assert code == 0, said
    check_done(command, target, place, evaluated)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP] if IS_LONG else [signal.SIGHUP])
@pytest.mark.parametrize(("command", "form"), cells("signalled"))
def test_a_signal_stops_a_command_in_order(command, form, number, place, evaluated, tmp_path):
    skip_long(form)
    target = place.target(command, tmp_path)
    process = place.start(command, target)
    wait_until(lambda: begun(command, target) or process.poll() is not None)
    process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    if command == "train":
        assert process.returncode == 143
        assert Run(target).read_state().name == "stopped"
        assert number.name in Run(target).read_state().reason
    else:
        assert finish(place.start(command, target))[0] == 0
        check_done(command, target, place, evaluated)


@pytest.mark.parametrize(("command", "form"), cells("disk full"))
def test_a_full_disk_is_one_line_and_a_true_state(command, form, place, tmp_path):
    skip_long(form)
    target = place.target(command, tmp_path)
    limit = SMALL_BYTES if command == "train" else 2_000
    process = place.start(command, target, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    code, said = finish(process)
    assert code in (1, 3), said
    assert said.strip().splitlines()[-1].startswith("error: ")
    if command == "train":
        assert Run(target).read_state().name == "stopped"
        assert "larger than allowed" in Run(target).read_state().reason


@pytest.mark.parametrize(("command", "form"), cells("read-only"))
def test_a_target_that_cannot_be_written_to_is_said_before_the_work(
    command, form, place, tmp_path, capsys, monkeypatch
):
    skip_long(form)
    target = Path("/proc/roadsense/target")  # no user, not even root, may make anything there
    if command in ("evaluate", "export"):
        target = place.target(command, tmp_path)
        monkeypatch.setattr("roadsense.utils.files.PROBE_NAME", "x" * 300)  # a name that no disk takes
    assert main(place.words(command, target)) in (2, 3)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")


@pytest.mark.parametrize(("command", "form"), cells("second writer"))
def test_of_two_at_once_one_wins_and_the_other_loses_nothing(command, form, place, evaluated, tmp_path):
    skip_long(form)
    target = place.target(command, tmp_path)
    first = place.start(command, target)
    wait_until(lambda: begun(command, target) or first.poll() is not None)
    code, said = finish(place.start(command, target))
    assert code in (0, 2), said
    if command == "train":
        first.send_signal(signal.SIGTERM)
        assert finish(first)[0] == 143
    else:
        assert finish(first)[0] == 0
        check_done(command, target, place, evaluated)


def flip(path: Path, share: float = 0.5) -> None:
    """Changes one bit of a file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * share)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(("command", "form"), cells("flipped byte"))
def test_a_changed_byte_of_the_input_is_noticed(command, form, place, tmp_path, capsys):
    skip_long(form)
    shutil.copytree(place.dataset, tmp_path / "dataset")
    shutil.copy(place.folder / "scenarios.zip", tmp_path)
    copy = Place(tmp_path, place.bases)
    target = place.target(command, tmp_path)
    split = "train" if command in ("train", "verify") else "eval"
    flip(next((tmp_path / "dataset" / split).glob("*/*.rou.xml")), 0.9)
    if command == "unpack":
        flip(tmp_path / "scenarios.zip")
    elif command == "export":
        flip(target / "model.zip")
    words = ["verify", str(copy.dataset)] if command == "verify" else copy.words(command, target)
    assert main(words) in (1, 2)
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(("command", "form"), cells("not a number"))
def test_a_number_that_is_none_is_refused_by_name(command, form, place, tmp_path):
    skip_long(form)
    module, name = COMMANDS[command].config.split(":")
    kind = getattr(importlib.import_module(module), name)
    required = {
        each.name: tmp_path
        for each in dataclasses.fields(kind)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }
    numbers = [each.name for each in dataclasses.fields(kind) if each.type in (int, float, float | None)]
    assert numbers
    for number in numbers:
        for value in (math.nan, math.inf):
            with pytest.raises(InputError, match=number):
                kind(**{**required, number: value})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize(("command", "form"), cells("worker lost"))
def test_a_lost_worker_costs_its_episode_only(command, form, number, place, evaluated, tmp_path):
    skip_long(form)
    if number == signal.SIGSTOP and not IS_LONG:
        pytest.skip("a stopped worker is noticed after its time limit: make chaos, and tests/utils")
    target = place.target(command, tmp_path)
    process = place.start(command, target)
    wait_until(lambda: begun(command, target), process)
    for worker in children(process.pid):
        os.kill(worker, number)
    assert finish(process)[0] == 0
    check_done(command, target, place, evaluated)


def children(pid: int) -> list[int]:
    """Returns the workers below a program: processes that a server of multiprocessing has forked."""
    workers, left = [], [pid]
    while left:
        parent = left.pop()
        lists = [path.read_text().split() for path in Path(f"/proc/{parent}/task").glob("*/children")]
        below = [int(word) for words in lists for word in words]
        workers += [child for child in below if is_of_server(child) and is_of_server(parent)]
        left += below
    return workers


def is_of_server(pid: int) -> bool:
    return b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
