"""Runs several trainings as jobs in parallel, and makes one table of their results: `roadsense job sweep FILE`.

The file holds a job, seeds, and variants, each with its changed fields:

    {"job": {"notebook": "01_train", "target": "sagemaker", "dataset": "scenarios/dataset_v1", ...},
     "seeds": [0, 1, 2],
     "variants": {"augmented": {},
                  "bases_only": {"parameters": {"dataset_dir": "scenarios/base"}},
                  "without_rural": {"parameters": {"leave_out_base": "rural_curve"}}}}

A variant with the training parameter `leave_out_base` never sees that road. With `"judge": {"dataset_dir":
"scenarios/dataset_v1/eval", ...}`, fields of `EvalConfig`, all policies drive the same held-out episodes on this
machine at the end, compared with the driver alone. Without it, the table holds the last evaluation of each training.
An interrupted sweep continues when it is started again: jobs are submitted once. `docs/sweeps` has examples.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import tyro

from roadsense.cloud.checksums import TransferError
from roadsense.errors import InputError
from roadsense.evaluation.sweep_judging import check_judging, judge_together
from roadsense.evaluation.sweep_table import find_trained, make_table, tabulate_roads, write_table
from roadsense.jobs.job import Job
from roadsense.jobs.shown import confirm
from roadsense.jobs.spec import MAX_NAME, JobSpec, check_spec, spec_from_values
from roadsense.jobs.target import JobError, JobState

LOOK_EVERY_S = 10.0
TABLE_NAME = "sweep.md"


@dataclass(frozen=True)
class SweepConfig:
    """Settings of `roadsense job sweep`.

    Attributes:
        file: JSON file of the sweep.
        output_dir: folder for the results of each job and the table.
        n_parallel: jobs that run at the same time.
        resumes: how often to start each job again after EC2 took its spot machine away; each start may cost `max_usd`.
        dry_run: only print the requests of all jobs; tokens and deadlines are set anew at each start.
        yes: start it without asking.
    """

    file: tyro.conf.Positional[Path]
    output_dir: Path = Path("runs/sweep")
    n_parallel: int = 4
    resumes: int = 3
    dry_run: bool = False
    yes: bool = False

    def __post_init__(self) -> None:
        if self.n_parallel < 1:
            raise InputError(f"Expected n_parallel of at least 1, got {self.n_parallel}.")


@dataclass(frozen=True, eq=False)
class Member:
    """One job of a sweep.

    Attributes:
        variant: name of the variant.
        seed: seed of the training.
        spec: checked spec of the job.
    """

    variant: str
    seed: int
    spec: JobSpec

    @property
    def folder_name(self) -> str:
        """Name of the folder for the job's results."""
        return f"{self.variant}_seed_{self.seed}"


def read_sweep(path: Path) -> tuple[list[Member], dict[str, Any] | None]:
    """Reads and checks the jobs of a sweep, and the settings of the common evaluation, or None without one.

    Raises:
        InputError: if the file is not a sweep, one of its jobs cannot run, or the evaluation's settings are wrong.
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
    """Runs all jobs of a sweep, downloads their results, and returns the file with the table.

    Raises:
        InputError: if the file is not a sweep, one of its jobs cannot run, or the price was not confirmed.
        JobError: if a target does not answer. The table also shows failed jobs.
    """
    members, judging = read_sweep(config.file)
    if any(each.spec.is_cloud for each in members):
        confirm(_describe(members), config.yes)
    waiting, running, ended = list(members), dict[Member, Job](), dict[str, str]()
    resumes = dict.fromkeys(members, config.resumes)
    while waiting or running:
        while waiting and len(running) < config.n_parallel:
            member = waiting.pop(0)
            running[member] = _submit_once(member.spec)
        for member, state, reason in list(_find_ended(running, resumes)):
            lost = _download(running.pop(member), config.output_dir / member.folder_name)
            ended[member.folder_name] = "; ".join(word for word in (reason or str(state), lost) if word)
            sys.stderr.write(f"{member.folder_name}: {state} ({len(ended)} of {len(members)})\n")
        if running:
            time.sleep(LOOK_EVERY_S)
    return _gather({each.folder_name: config.output_dir / each.folder_name for each in members}, ended, judging, config)


def run_and_print(config: SweepConfig) -> None:
    """Runs the variants and seeds of a training as jobs, and prints one table of their results."""
    if config.dry_run:
        sys.stdout.write(json.dumps(_describe(read_sweep(config.file)[0])["jobs"], indent=2, default=str) + "\n")
        return
    path = run_sweep(config)
    sys.stdout.write(f"{path.read_text()}\n{path}\n")


def _describe(members: Sequence[Member]) -> dict[str, Any]:
    jobs = {each.folder_name: Job(each.spec).request() for each in members}
    prices = Counter(each["price"] for each in jobs.values())
    return {"price": "; ".join(f"for each of {n} jobs {price}" for price, n in prices.items()), "jobs": jobs}


def _submit_once(spec: JobSpec) -> Job:
    try:
        return Job.find(spec.name or "")
    except InputError:  # it was not submitted yet
        job = Job(spec)  # its deadline counts from now, and not from when its request was shown
        job.submit()
        return job


def _find_ended(running: Mapping[Member, Job], resumes: dict[Member, int]) -> Iterator[tuple[Member, JobState, str]]:
    for member, job in running.items():
        status = job.status()
        if status.was_interrupted and resumes[member] > 0:
            resumes[member] -= 1
            job.submit()
        elif status.state.is_over:
            yield member, status.state, status.reason


def _download(job: Job, folder: Path) -> str:
    """Downloads the results of a job; returns the reason if that fails, else an empty text."""
    try:
        if not folder.exists():
            job.fetch(folder)
    except (JobError, TransferError) as error:  # a crashed job leaves incomplete results
        return str(error)
    return ""


def _gather(
    folders: Mapping[str, Path], ended: Mapping[str, str], judging: Mapping[str, Any] | None, config: SweepConfig
) -> Path:
    trained = find_trained(folders)
    judged = judge_together(trained, judging).held_out if judging is not None and trained else None
    roads = tabulate_roads(folders, judged) if judged is not None else []
    return write_table(make_table(folders, ended, judged), config.output_dir / TABLE_NAME, roads)
