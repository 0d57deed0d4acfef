"""Nothing is lost, whatever happens to a command: killed, stopped, no room, no permission, twice at once, bad input.

The short form is part of the suite; `make chaos` tries every cell of the table, the kills at many moments.
"""

import contextlib
import dataclasses
import importlib
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from roadsense.cli import COMMANDS, main
from roadsense.errors import InputError
from roadsense.runs.run import Run
from tests.chaos.commands import (
    IN_A_RUN,
    NAMED,
    check_done,
    check_nothing_left,
    is_begun,
    is_done,
    words_again,
    words_of,
)
from tests.chaos.conftest import ROUNDS, Place, skip_long
from tests.chaos.table import FAULTS, LONG, REFUSED, SHORT, TABLE, WENT_ON, cells
from tests.jobs.small_notebooks import ROOT
from tests.small_training import wait_until

MOMENTS = range(ROUNDS or 1)
LIMIT_S = 900.0 if ROUNDS else 300.0
pytestmark = [pytest.mark.usefixtures("alone"), pytest.mark.timeout(4 * LIMIT_S if ROUNDS else 2 * LIMIT_S)]
LONG_TRAINING = {"total_timesteps": 100_000}
SMALL_BYTES = {"train": 150_000, "benchmark": 300}
"""Largest file of a process whose disk is full: less than a checkpoint has, or the rows of episodes."""


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


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("command", "form"), cells("killed"))
def test_a_killed_command_is_continued_by_the_same(command, form, moment, place, undisturbed, tmp_path):
    skip_long(form)
    target, expected = place.target(command, tmp_path), undisturbed(command)
    process = place.start(words_of(command, place, target), tmp_path)
    if ROUNDS:
        seconds = random.Random(f"{command} {moment}").uniform(0, expected.seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    else:
        wait_until(lambda: is_begun(command, target) or process.poll() is not None, seconds=LIMIT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if command == "job" and moment % 2:
        place.kill_all()  # the job has a group of its own
    process.communicate()
    if not is_done(command, target):
        code, said = finish(place.start(words_again(command, place, target), tmp_path))
        assert code == 0, said
        check_nothing_left(target)
    check_done(command, target, expected.target)


@pytest.mark.parametrize(("command", "form"), cells("killed at its end"))
def test_a_command_that_is_killed_when_its_result_has_its_name_makes_no_second_one(
    command, form, place, undisturbed, tmp_path
):
    skip_long(form)
    target = place.target(command, tmp_path)
    process = place.start(words_of(command, place, target), tmp_path, dies_at=NAMED[command])
    _, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == -signal.SIGKILL, said
    code, said = finish(place.start(words_again(command, place, target), tmp_path))
    assert code in (0, 2), said
    check_nothing_left(target)
    check_done(command, target, undisturbed(command).target)
    assert not list(target.glob("evaluation_*"))


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(("command", "form"), cells("signalled"))
def test_a_signal_stops_a_command_in_order(command, form, moment, place, undisturbed, tmp_path):
    skip_long(form)
    number = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)[moment % 3]
    target = place.target(command, tmp_path)
    process = place.start(words_of(command, place, target, **LONG_TRAINING), tmp_path)
    wait_until(lambda: is_begun(command, target) or process.poll() is not None, seconds=LIMIT_S)
    if number == signal.SIGINT:  # a terminal sends it to all
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode != 0
    if command == "train":
        assert process.returncode == 143
        assert Run(target).read_state().name == "stopped"
        assert number.name in Run(target).read_state().reason
    else:
        code, said = finish(place.start(words_again(command, place, target), tmp_path))
        assert code == 0, said
        check_nothing_left(target)
        check_done(command, target, undisturbed(command).target)


@pytest.mark.parametrize(("command", "form"), cells("disk full"))
def test_a_full_disk_is_one_line_and_a_true_state(command, form, place, tmp_path):
    skip_long(form)
    target = place.target(command, tmp_path)
    words, n_bytes = words_of(command, place, target, **LONG_TRAINING), SMALL_BYTES.get(command, 2_000)
    code, said = finish(place.start(words, tmp_path, n_bytes))
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
    monkeypatch.chdir(tmp_path)
    if command in IN_A_RUN:
        target = place.target(command, tmp_path)
        monkeypatch.setattr("roadsense.utils.files.PROBE_NAME", "x" * 300)  # a name that no disk takes
    assert main(words_of(command, place, target)) in (2, 3)
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ")


@pytest.mark.parametrize(("command", "form"), cells("second writer"))
def test_of_two_at_once_one_wins_and_the_other_loses_nothing(
    command, form, place, undisturbed, tmp_path, record_property
):
    skip_long(form)
    target, words = place.target(command, tmp_path), words_of(command, place, tmp_path / "target", **LONG_TRAINING)
    first = place.start(words, tmp_path)
    wait_until(lambda: is_begun(command, target) or first.poll() is not None, seconds=LIMIT_S)
    codes = [finish(place.start(words, tmp_path))[0]]
    if command == "train":
        first.send_signal(signal.SIGTERM)
        assert (*codes, finish(first)[0]) == (2, 143)
        codes.append(0)
    else:
        codes.append(finish(first)[0])
        assert sorted(codes) in ([0, 0], [0, 2])  # either may be the quicker one
        check_done(command, target, undisturbed(command).target)
    record_property("ends", dict(Counter(REFUSED if code else WENT_ON for code in codes)))


SUMMED = {
    "train": ["dataset/train/*/*"],
    "evaluate": ["dataset/eval/*/*", "target/model.zip"],
    "benchmark": ["target/model.zip"],
    "export": ["target/model.zip"],
    "verify": ["dataset/*/*/*"],
}
"""What has a recorded sum, as patterns: no changed byte of it is used."""
OTHERS = {
    "gen-scenarios": ["bases/*/*"],
    "train": ["dataset/manifest.json"],
    "evaluate": ["dataset/manifest.json", "target/config.json", "target/manifest.json"],
    "export": ["dataset/eval/*/*", "target/config.json", "target/manifest.json"],
    "enjoy": ["run/model.zip", "dataset/eval/*/*"],
    "verify": ["dataset/manifest.json", "dataset/README.md"],
    "unpack": ["scenarios.zip"],
    "drive": ["log/*.csv"],
}
"""What else a command reads: a changed byte may be harmless, else it is one line."""


N_FLIPS = 10 if ROUNDS else 1
"""Tries of one moment with what is refused before any work."""


@contextlib.contextmanager
def flipped(path: Path, rng: random.Random) -> Iterator[None]:
    """Changes one bit of a file inside a `with`."""
    whole = path.read_bytes()
    content = bytearray(whole)
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)
    yield
    path.write_bytes(whole)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("inputs", [SUMMED, OTHERS], ids=["summed", "others"])
@pytest.mark.parametrize(("command", "form"), cells("flipped byte"))
def test_a_changed_byte_of_the_input_is_noticed(
    command, form, inputs, moment, place, tmp_path, capsys, record_property
):
    skip_long(form if inputs is SUMMED or command == "unpack" else LONG)
    if command not in inputs:
        pytest.skip("it has no such input")
    copy = Place(tmp_path, tmp_path / "bases")
    for path in (place.bases, place.dataset, place.run, place.log):
        shutil.copytree(path, tmp_path / ("bases" if path == place.bases else path.name))
    shutil.copy(place.folder / "scenarios.zip", tmp_path)
    target, rng = copy.target(command, tmp_path), random.Random(f"{command} {moment}")
    paths = sorted(path for pattern in inputs[command] for path in tmp_path.glob(pattern) if path.is_file())
    ends = Counter[str]()
    for _ in range(N_FLIPS if inputs is SUMMED else 1):
        with flipped(rng.choice(paths), rng):
            code, said = main(words_of(command, copy, target)), capsys.readouterr().err
        assert code in ((1, 2) if inputs is SUMMED else (0, 1, 2))
        assert code == 0 or said.strip().splitlines()[-1].startswith("error: ")
        ends[REFUSED if code else "harmless"] += 1
    record_property("ends", dict(ends))


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
def test_a_lost_worker_costs_its_episode_only(command, form, number, place, undisturbed, tmp_path):
    skip_long(form)
    if number == signal.SIGSTOP and not ROUNDS:
        pytest.skip("a stopped worker is noticed after its time limit: make chaos, and tests/utils")
    target = place.target(command, tmp_path)
    process = place.start(words_of(command, place, target), tmp_path)
    wait_until(lambda: is_begun(command, target) and children(process.pid), process, LIMIT_S)
    for worker in children(process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, number)
    assert finish(process)[0] == 0
    check_done(command, target, undisturbed(command).target)


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
    try:
        return b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return False


@pytest.mark.parametrize("command", ["gen-scenarios", "train"])
def test_a_full_standard_error_ends_no_command(command, place, tmp_path, undisturbed):
    target, calm = place.target(command, tmp_path), undisturbed(command)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tests.chaos.program", *words_of(command, place, target)],
            stdout=subprocess.PIPE, stderr=full, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
            timeout=LIMIT_S,
        )  # fmt: skip
    assert done.returncode == 0
    check_done(command, target, calm.target)
