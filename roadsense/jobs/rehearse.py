"""`roadsense job rehearse SPEC`: a job on this machine before it costs anything, short, and once more interrupted.

It runs in the exact image if an engine is there, else as a bare process, in the exact layout of folders and files, and
without credentials or network. What is rehearsed for a training: it runs to its end; told to stop in the middle
(SIGTERM, as a spot instance is) it ends in order and keeps a checkpoint; started again it goes on, to the same policy
as the one that was never interrupted, weight for weight.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

from roadsense.errors import InputError
from roadsense.jobs.engine import has_engine
from roadsense.jobs.heartbeat import read_beat
from roadsense.jobs.job_plan import RESUME, RUN
from roadsense.jobs.layout import JobLayout
from roadsense.jobs.parameters import read_parameters
from roadsense.jobs.spec import JobSpec, check_spec, spec_from_json
from roadsense.jobs.stage import ContainerStage, ProcessStage, Stage, Start
from roadsense.jobs.target import JobState, open_target
from roadsense.jobs.weights import compare_weights
from roadsense.runs.metric_lines import PREFIX
from roadsense.utils.command import run_command
from roadsense.utils.files import refuse_existing
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
"""What a rehearsal gives a notebook that knows these, unless the job itself gives less."""
MODEL = "model.zip"
CHECKPOINTS = "*/checkpoints/checkpoint_*.pt"


@dataclass(frozen=True)
class RehearseConfig:
    """Settings of a rehearsal.

    Attributes:
        spec: file of the job's spec, JSON.
        keep: new folder for what the rehearsal makes; by default it is removed.
        bare: run as a bare process even if an engine is there.
        max_minutes: each start of the job may take.
    """

    spec: tyro.conf.Positional[Path]
    keep: Path | None = None
    bare: bool = False
    max_minutes: float = 15.0

    def __post_init__(self) -> None:
        if not self.max_minutes > 0:
            raise InputError(f"Expected max_minutes above 0, got {self.max_minutes}.")


@dataclass(frozen=True)
class Rehearsal:
    """What a rehearsal found; it raises where something is not as it should be.

    Attributes:
        run_s: the uninterrupted start took, seconds.
        stop_s: from SIGTERM to the end, seconds; None if the notebook trains nothing.
        resume_s: the start that went on, seconds; None likewise.
        stopped_at: environment steps learned from when it was stopped; None likewise.
        weights: bytes of weights compared and found equal; None likewise.
    """

    run_s: float
    stop_s: float | None = None
    resume_s: float | None = None
    stopped_at: int | None = None
    weights: int | None = None


def shorten(spec: JobSpec) -> JobSpec:
    """Returns a job that does the same in little time: fewer steps, workers, scenarios and episodes, one seed."""
    known = read_parameters(Path(spec.notebook))
    small = {}
    for name, value in SHORT.items():
        if name in known:
            given = spec.parameters.get(name, value)
            small[name] = min(value, given) if given > 0 else value
    parameters = {**spec.parameters, **small}
    if seeds := parameters.pop("seeds", None):
        parameters["seed"] = seeds[0]
    return replace(spec, parameters=parameters)


def rehearse(spec: JobSpec, folder: Path, stage: Stage, max_s: float = 900.0) -> Rehearsal:
    """Runs a job short, and interrupts and resumes it if it trains.

    Args:
        spec: checked.
        folder: a new one, for the folders of the job's starts.
        stage: where it runs.
        max_s: each start may take, seconds.

    Raises:
        JobError: if a start does not end as it should.
        DifferenceError: if the resumed training ends in another policy than the uninterrupted one.
    """
    short = shorten(spec)
    folder.mkdir(parents=True, exist_ok=True)
    whole = stage.prepare(short, folder / "whole")
    run_s = _perform(stage, short, whole, max_s)
    if not {RUN, RESUME} <= read_parameters(Path(spec.notebook)).keys():
        return Rehearsal(run_s)
    broken = stage.prepare(short, folder / "broken")
    stop_s = _interrupt(stage, short, broken, max_s)
    stopped_at = _timesteps(broken)
    resume_s = _perform(stage, short, broken, max_s)
    weights = compare_weights(whole.model_dir / MODEL, broken.model_dir / MODEL)
    return Rehearsal(run_s, stop_s, resume_s, stopped_at, weights)


def open_stage(bare: bool = False) -> Stage:
    """Returns where jobs are rehearsed: in their images, or as a process if no engine answers or `bare` asks for it."""
    return ProcessStage() if bare or not has_engine() else ContainerStage()


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `roadsense job rehearse`; returns its exit code."""
    return run_command(lambda: _rehearse(tyro.cli(RehearseConfig, args=arguments, prog="roadsense job rehearse")))


def _rehearse(config: RehearseConfig) -> Rehearsal:
    spec = check_spec(spec_from_json(config.spec))
    if spec.is_cloud:
        open_target(spec.target, spec.region).describe_request(spec)
        _say("What would be sent to AWS is in order; nothing is sent.")
    stage = open_stage(config.bare)
    _say(f"Rehearsing {spec.notebook_name} in {stage.describe(spec)} ...")
    if config.keep is not None:
        refuse_existing(config.keep, "the rehearsal")
        return _report(rehearse(spec, config.keep, stage, config.max_minutes * 60))
    with scratch_folder("rehearsal-") as folder:
        return _report(rehearse(spec, folder, stage, config.max_minutes * 60))


def _report(found: Rehearsal) -> Rehearsal:
    _say(f"Ran to its end in {found.run_s:.0f} s.")
    if found.weights is None:
        _say("It trains nothing, so there is nothing to resume: it was not interrupted.")
    else:
        _say(f"Stopped after {found.stopped_at} steps: it ended in order in {found.stop_s:.1f} s.")
        _say(f"Resumed to its end in {found.resume_s:.0f} s: {found.weights} bytes of weights as if never stopped.")
    _say("The rehearsal went well.")
    return found


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _perform(stage: Stage, spec: JobSpec, layout: JobLayout, max_s: float) -> float:
    """Runs a job to its end; returns the seconds it took."""
    started_s = time.monotonic()
    with stage.start(spec, layout) as start:
        _check_end(start, layout, start.wait(max_s), JobState.DONE)
    return time.monotonic() - started_s


def _interrupt(stage: Stage, spec: JobSpec, layout: JobLayout, max_s: float) -> float:
    """Runs a job until it has begun to learn, and tells it to stop; returns the seconds it took to do so."""
    with stage.start(spec, layout) as start:
        start.wait_for(f"{PREFIX} timesteps=", max_s)
        told_s = time.monotonic()
        start.terminate()
        _check_end(start, layout, start.wait(max_s), JobState.STOPPED)
        took_s = time.monotonic() - told_s
        if not any(layout.checkpoint_root.glob(CHECKPOINTS)):
            raise start.complain("it was stopped, and left no checkpoint")
        return took_s


def _check_end(start: Start, layout: JobLayout, code: int, expected: JobState) -> None:
    beat = read_beat(layout.state_path)
    state = beat.state if beat else "silent"
    if code != 0 or state != expected:
        raise start.complain(f"expected it to be {expected} with exit code 0, but it is {state} with {code}")


def _timesteps(layout: JobLayout) -> int | None:
    beat = read_beat(layout.state_path)
    return beat.timesteps if beat else None


if __name__ == "__main__":
    sys.exit(main())
