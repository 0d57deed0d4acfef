"""Several trainings as jobs, side by side, and one table of what came of them: `roadsense job sweep FILE`.

The file holds a job, the seeds, and variants of it, each with what differs:

    {"job": {"notebook": "01_train", "target": "sagemaker", "dataset": "scenarios/dataset_v1", ...},
     "seeds": [0, 1, 2],
     "variants": {"augmented": {},
                  "bases_only": {"parameters": {"dataset_dir": "scenarios/base"}},
                  "without_rural": {"parameters": {"leave_out_base": "rural_curve"}}}}

The training's parameter `leave_out_base` gives the variant that never sees a road. With `"judge": {"dataset_dir":
"scenarios/dataset_v1/eval", ...}`, fields of `EvalConfig`, all policies drive the same held-out episodes here at the
end, beside the driver alone; without, the table holds what each training found at its last evaluation. A sweep that was
ended goes on: jobs that were submitted are not again. `docs/sweeps` has examples.
"""

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tyro

from roadsense.cloud.checksums import TransferError
from roadsense.errors import InputError
from roadsense.jobs.records import find_record, write_record
from roadsense.jobs.spec import MAX_NAME, JobSpec, check_spec, spec_from_values
from roadsense.jobs.sweep_judging import check_judging, judge_together
from roadsense.jobs.sweep_table import find_trained, make_table, tabulate_roads, write_table
from roadsense.jobs.target import JobError, JobState, Target, open_target
from roadsense.utils.command import run_command

LOOK_EVERY_S = 10.0
TABLE_NAME = "sweep.md"


@dataclass(frozen=True)
class SweepConfig:
    """Settings of `roadsense job sweep`.

    Attributes:
        file: JSON file of the sweep.
        output_dir: folder for the results of each job and the table.
        n_parallel: jobs at a time.
        dry_run: only print the requests of all jobs.
    """

    file: tyro.conf.Positional[Path]
    output_dir: Path = Path("runs/sweep")
    n_parallel: int = 4
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.n_parallel < 1:
            raise InputError(f"Expected n_parallel of at least 1, got {self.n_parallel}.")


@dataclass(frozen=True)
class Member:
    """One job of a sweep.

    Attributes:
        variant: its name.
        seed: of its training.
        spec: checked.
    """

    variant: str
    seed: int
    spec: JobSpec

    @property
    def folder_name(self) -> str:
        """Name of the folder of its results."""
        return f"{self.variant}_seed_{self.seed}"


def read_sweep(path: Path) -> tuple[list[Member], dict[str, Any] | None]:
    """Reads the jobs of a sweep, each checked, and how they are judged together; None if they aren't.

    Raises:
        InputError: if the file is no sweep, one of its jobs cannot run, or it cannot be judged like that.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        job, seeds, variants = dict(content["job"]), list(content["seeds"]), dict(content["variants"])
        judging = dict(content["judge"]) if "judge" in content else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: expected a JSON object with job, seeds and variants ({error!r}).") from error
    if not seeds or not variants or len(set(seeds)) < len(seeds):
        raise InputError(f"{path}: expected variants, and seeds that differ, got {len(variants)} and {seeds}.")
    if judging is not None:
        check_judging(judging)
    base = spec_from_values(job, str(path))
    pairs = ((name, change, seed) for name, change in variants.items() for seed in seeds)
    return [Member(name, seed, _vary(base, name, change, seed)) for name, change, seed in pairs], judging


def _vary(base: JobSpec, variant: str, change: Mapping[str, Any], seed: int) -> JobSpec:
    unknown = sorted(set(change) - {each.name for each in fields(JobSpec)} | set(change) & {"name", "target"})
    if unknown:
        raise InputError(f"Variant {variant}: expected fields of a job but its name and target, got {unknown}.")
    parameters = {**base.parameters, **change.get("parameters", {}), "seed": seed}
    name = f"{base.name or 'roadsense-sweep'}-{variant.replace('_', '-')}-{seed}"
    if len(name) > MAX_NAME:
        raise InputError(f"Variant {variant}: its job's name is longer than {MAX_NAME} characters: {name}.")
    return check_spec(replace(base, **{**change, "parameters": parameters, "name": name}))


def run_sweep(config: SweepConfig) -> Path:
    """Runs all jobs of a sweep, brings their results here, and returns the file with the table.

    Raises:
        InputError: if the file is no sweep, or one of its jobs cannot run.
        JobError: if a target does not answer. Jobs that fail have a row that says so.
    """
    members, judging = read_sweep(config.file)
    waiting, running, ended = list(members), list[Member](), dict[str, str]()
    targets = {name: open_target(name, members[0].spec.region) for name in {each.spec.target for each in members}}
    while waiting or running:
        while waiting and len(running) < config.n_parallel:
            running.append(waiting.pop(0))
            _submit_once(running[-1], targets)
        for member, state, reason in list(_find_ended(running, targets)):
            running.remove(member)
            lost = _bring(member, targets, config.output_dir)
            ended[member.folder_name] = "; ".join(word for word in (reason or str(state), lost) if word)
            sys.stderr.write(f"{member.folder_name}: {state} ({len(ended)} of {len(members)})\n")
        if running:
            time.sleep(LOOK_EVERY_S)
    return _gather({each.folder_name: config.output_dir / each.folder_name for each in members}, ended, judging, config)


def _gather(
    folders: Mapping[str, Path], ended: Mapping[str, str], judging: Mapping[str, Any] | None, config: SweepConfig
) -> Path:
    trained = find_trained(folders)
    judged = judge_together(trained, judging).held_out if judging is not None and trained else None
    roads = tabulate_roads(folders, judged) if judged is not None else []
    return write_table(make_table(folders, ended, judged), config.output_dir / TABLE_NAME, roads)


def _submit_once(member: Member, targets: Mapping[str, Target]) -> None:
    try:
        find_record(member.spec.name or "")
    except InputError:  # nobody has yet
        write_record(member.spec, targets[member.spec.target].submit(member.spec))


def _find_ended(running: Sequence[Member], targets: Mapping[str, Target]) -> Iterator[tuple[Member, JobState, str]]:
    for member in running:
        status = targets[member.spec.target].status(find_record(member.spec.name or "").job_id)
        if status.state.is_over:
            yield member, status.state, status.reason


def _bring(member: Member, targets: Mapping[str, Target], output_dir: Path) -> str:
    """Brings the results of a job here; returns why they could not be, else nothing."""
    folder = output_dir / member.folder_name
    try:
        if not folder.exists():
            targets[member.spec.target].fetch(find_record(member.spec.name or "").job_id, folder)
    except (JobError, TransferError) as error:  # a job that died left nothing whole
        return str(error)
    return ""


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job sweep`; returns its exit code."""
    return run_command(
        lambda: _run(tyro.cli(SweepConfig, args=arguments, prog="roadsense job sweep", description=__doc__))
    )


def _run(config: SweepConfig) -> None:
    if config.dry_run:
        requests = {
            each.folder_name: open_target(each.spec.target, each.spec.region).describe_request(each.spec)
            for each in read_sweep(config.file)[0]
        }
        sys.stdout.write(json.dumps(requests, indent=2, default=str) + "\n")
        return
    path = run_sweep(config)
    sys.stdout.write(f"{path.read_text()}\n{path}\n")
