"""Tests a job on this machine before it costs money: a short version, also interrupted. `roadsense job rehearse SPEC`.

It is a normal job on target `docker` if an engine answers, else on `local`: submitted, followed, stopped, submitted
again. For a training it checks three things: it runs to its end; asked to stop in the middle (SIGTERM, as on a spot
machine) it ends properly with a checkpoint; submitted again it resumes and gives the same policy as the uninterrupted
training, weight for weight.
"""

import io
import sys
import time
import zipfile
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.inside.plan import RESUME, RUN
from roadsense.jobs.job import Job
from roadsense.jobs.local.engine import find_engine, has_engine
from roadsense.jobs.parameters import read_parameters
from roadsense.jobs.spec import JobSpec, check_spec, spec_from_json
from roadsense.jobs.target import JobError, JobState, open_target
from roadsense.jobs.tuning import TuningConfig
from roadsense.runs.metric_lines import PREFIX
from roadsense.utils.files import MISREAD, refuse_existing
from roadsense.utils.scratch import scratch_folder

SHORT: dict[str, Any] = {
    "total_timesteps": 4096,
    "imitation_timesteps": 512,
    "n_workers": 2,
    "n_train": 2,
    "n_eval": 1,
    "episodes_per_scenario": 1,
    "n_observations": 50,
}
"""A rehearsal's values for a notebook's parameters, unless the job's own values are smaller."""
MODEL, WEIGHTS = "model.zip", ".pth"
NAMES = ("rehearsal-whole", "rehearsal-broken")
"""Names of the uninterrupted and of the interrupted job."""
LOOK_EVERY_S = 0.1
LAST_LINES = 15


@dataclass(frozen=True)
class RehearseConfig:
    """Settings of a rehearsal.

    Attributes:
        spec: JSON file of the job's spec.
        keep: new folder for the rehearsal's files; by default they are removed.
        bare: run as a process even if an engine answers.
        max_minutes: longest time for each start of the job, minutes.
    """

    spec: tyro.conf.Positional[Path]
    keep: Path | None = None
    bare: bool = False
    max_minutes: float = 15.0

    def __post_init__(self) -> None:
        if not self.max_minutes > 0:
            raise InputError(f"Expected max_minutes above 0, got {self.max_minutes}.")


def rehearse_job(config: RehearseConfig) -> None:
    """Runs a job short on this machine, interrupts and resumes it, and compares the weights; AWS is not called."""
    spec = check_spec(spec_from_json(config.spec))
    if spec.is_cloud:
        open_target(spec.target, spec.region).plan(spec)
        _say("The requests to AWS are in order; nothing is sent.")
    target = "local" if config.bare or not has_engine() else "docker"
    _say(f"Rehearsing {spec.notebook_name} as a job of target {target} ...")
    if config.keep is not None:
        refuse_existing(config.keep, "the rehearsal")
    with nullcontext(config.keep) if config.keep is not None else scratch_folder("rehearsal-") as folder:
        rehearse(spec, folder, target, config.max_minutes * 60)
    _say("The rehearsal passed.")


def rehearse(spec: JobSpec, folder: Path, target: str, max_s: float = 900.0) -> int:
    """Runs a job short, interrupts and resumes it if it trains, and says how that went.

    Args:
        spec: checked spec.
        folder: folder for the job folders.
        target: `docker` or `local`.
        max_s: longest time for each start, seconds.

    Returns:
        Size of the compared, equal weights, bytes; 0 if the notebook trains nothing.

    Raises:
        JobError: if a start does not end as expected.
        DifferenceError: if the resumed training gives another policy than the uninterrupted one.
    """
    short = replace(shorten(spec), target=target, output=str(folder), spot=False, instance_type=None, resume_of=None)
    image = spec.image if target == "docker" else None
    whole, broken = (Job(replace(short, name=name, image=image)) for name in NAMES)
    try:
        return _rehearse(whole, broken, folder, max_s)
    finally:
        if target == "docker":
            with suppress(JobError):  # otherwise the containers stay
                find_engine().run(["rm", "--force", *NAMES])


def _rehearse(whole: Job, broken: Job, folder: Path, max_s: float) -> int:
    """Runs a job twice: once without and once with an interruption."""
    _say(f"Ran to its end in {_run(whole, JobState.DONE, max_s):.0f} s.")
    if not {RUN, RESUME} <= read_parameters(Path(whole.spec.notebook)).keys():
        _say("It trains nothing, so there is nothing to resume: it was not interrupted.")
        return 0
    broken.submit(record=False)
    _wait_for_figure(broken, max_s)
    asked_s = time.monotonic()
    broken.stop()
    _wait(broken, JobState.STOPPED, max_s)
    _say(f"Stopped ({broken.status().phase}): it ended in order in {time.monotonic() - asked_s:.1f} s.")
    if not any((folder / broken.name / "checkpoints").glob("*/checkpoints/checkpoint_*.pt")):
        raise _fail(broken, "it was stopped and left no checkpoint")
    resume_s = _run(broken, JobState.DONE, max_s)
    weights = compare_weights(*(folder / name / "model" / MODEL for name in NAMES))
    _say(f"Resumed to its end in {resume_s:.0f} s: {weights} bytes of weights as if never stopped.")
    return weights


def shorten(spec: JobSpec) -> JobSpec:
    """Returns a short version of a job: fewer steps, workers, scenarios and episodes, one seed."""
    known = read_parameters(Path(spec.notebook))
    small = {}
    for name, value in SHORT.items():
        if name in known:
            given = spec.parameters.get(name, value)
            small[name] = min(value, given) if given > 0 else value
    parameters = {**spec.parameters, **small}
    if seeds := parameters.pop("seeds", None):
        parameters["seed"] = seeds[0]
    return replace(spec, parameters=parameters, search=TuningConfig())


def _run(job: Job, expected: JobState, max_s: float) -> float:
    """Runs a job until it is over; returns its duration, seconds."""
    started_s = time.monotonic()
    job.submit(record=False)
    _wait(job, expected, max_s)
    return time.monotonic() - started_s


def _wait(job: Job, expected: JobState, max_s: float) -> None:
    end_s = time.monotonic() + max_s
    while not (status := job.status()).state.is_over:
        if time.monotonic() > end_s:
            job.stop()
            raise _fail(job, f"it did not end in {max_s:.0f} s")
        time.sleep(LOOK_EVERY_S)
    if status.state != expected:
        raise _fail(job, f"expected it to be {expected}, but it is {status.state}. {status.reason}")


def _wait_for_figure(job: Job, max_s: float) -> None:
    end_s = time.monotonic() + max_s
    while not any(f"{PREFIX} timesteps=" in line for line in job.logs()):
        if job.status().state.is_over or time.monotonic() > end_s:
            raise _fail(job, "it printed no figure")
        time.sleep(LOOK_EVERY_S)


def _fail(job: Job, what: str) -> JobError:
    return JobError("\n".join([f"The rehearsal failed: {what}. The end of its log:", *list(job.logs())[-LAST_LINES:]]))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


class DifferenceError(RoadSenseError):
    """Raised when two results differ that should be the same."""


def compare_weights(one: Path, other: Path) -> int:
    """Compares the weights of two policies and the state of their optimisers, without running code from the files.

    Stable-Baselines3's `model.zip` holds zips of torch, whose records `<name>/data/<key>` are the numbers as in memory.

    Args:
        one: `model.zip` of the first policy.
        other: `model.zip` of the second policy.

    Returns:
        Size of the compared numbers, bytes.

    Raises:
        DifferenceError: naming the first record that differs, or if there is nothing to compare.
    """
    ours, theirs = read_records(one), read_records(other)
    wrong = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    if wrong:
        raise DifferenceError(f"Expected the same weights in {one} and {other}, but {len(wrong)} differ: {wrong[:3]}.")
    size = sum(len(content) for content in ours.values())
    if not size:
        raise DifferenceError(f"Expected weights in {one} and {other}, found none.")
    return size


def read_records(model: Path) -> dict[str, bytes]:
    """Returns the numbers in a policy's file, by record name.

    Raises:
        DifferenceError: if the file is not a policy.
    """
    records: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(model) as archive:
            for member in archive.namelist():
                if member.endswith(WEIGHTS):
                    records |= {f"{member}:{name}": content for name, content in _read_torch(archive.read(member))}
    except MISREAD as error:
        raise DifferenceError(f"Expected a policy in {model}: {error}.") from error
    return records


def _read_torch(content: bytes) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        # The first part is the archive's own name, which has no meaning.
        names = [(name, name.partition("/")[2]) for name in archive.namelist()]
        return [(place, archive.read(name)) for name, place in names if place.startswith("data/")]
