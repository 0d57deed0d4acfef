"""The commands `roadsense job ...`, from submitting a job to fetching its results."""

import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

import tyro

from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.job_options import (
    FetchConfig,
    JobConfig,
    ListConfig,
    LogsConfig,
    PublishConfig,
    StopConfig,
    SubmitConfig,
    read_spec,
)
from roadsense.jobs.records import find_record, read_records, read_submitted_spec, write_record
from roadsense.jobs.spec import check_spec
from roadsense.jobs.target import TARGETS, JobError, JobState, JobStatus, open_target
from roadsense.utils.command import run_command

WAIT_S = 1.0
Settings = TypeVar("Settings")


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job COMMAND ...`; returns its exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"error: Expected a command of {sorted(COMMANDS)} behind job, got {name!r}.\n")
        return InputError.exit_code
    return COMMANDS[name][0](rest)


def submit(arguments: Sequence[str]) -> int:
    """Runs `roadsense job submit`: starts a job and prints its name; with `--dry_run`, prints what would be sent."""
    return run_command(lambda: _submit(_parse(SubmitConfig, arguments, "submit")))


def list_jobs(arguments: Sequence[str]) -> int:
    """Runs `roadsense job list`."""
    return run_command(lambda: _list(_parse(ListConfig, arguments, "list")))


def status(arguments: Sequence[str]) -> int:
    """Runs `roadsense job status`: prints a job's status as JSON."""
    return run_command(lambda: _print_json(asdict(_status(_parse(JobConfig, arguments, "status")))))


def logs(arguments: Sequence[str]) -> int:
    """Runs `roadsense job logs`."""
    return run_command(lambda: _logs(_parse(LogsConfig, arguments, "logs")))


def stop(arguments: Sequence[str]) -> int:
    """Runs `roadsense job stop`."""
    return run_command(lambda: _stop(_parse(StopConfig, arguments, "stop")))


def fetch(arguments: Sequence[str]) -> int:
    """Runs `roadsense job fetch`."""
    return run_command(lambda: _fetch(_parse(FetchConfig, arguments, "fetch")))


def resume(arguments: Sequence[str]) -> int:
    """Runs `roadsense job resume`: submits a job again, as it was."""
    return run_command(lambda: _resume(_parse(JobConfig, arguments, "resume")))


def publish(arguments: Sequence[str]) -> int:
    """Runs `roadsense job publish`: sends a dataset to S3 and prints its URL."""
    return run_command(lambda: _publish(_parse(PublishConfig, arguments, "publish")))


def rehearse(arguments: Sequence[str]) -> int:
    """Runs `roadsense job rehearse`."""
    return _run_part("rehearse", arguments)


def image(arguments: Sequence[str]) -> int:
    """Runs `roadsense job image`."""
    return _run_part("image", arguments)


def doctor(arguments: Sequence[str]) -> int:
    """Runs `roadsense job doctor`."""
    return _run_part("doctor", arguments)


def _run_part(name: str, arguments: Sequence[str]) -> int:
    module = f"roadsense.jobs.{name}"
    try:
        part = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        sys.stderr.write(f"error: This version of RoadSense has no {name} for jobs.\n")
        return RoadSenseError.exit_code
    return part.main(arguments)


COMMANDS: Mapping[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "submit": (submit, "start a notebook as a job; --dry_run only shows what would be sent"),
    "list": (list_jobs, "list jobs; --all lists everything that still costs"),
    "status": (status, "say what a job is doing, as JSON"),
    "logs": (logs, "show a job's log; --follow goes on until it is over"),
    "metrics": (partial(_run_part, "metrics_command"), "say how a job's training goes; --plot draws its curves"),
    "stop": (stop, "ask a job to stop; a training keeps a checkpoint"),
    "resume": (resume, "go on with a job that was stopped, was interrupted or has failed"),
    "fetch": (fetch, "bring a job's results here and check them"),
    "publish": (publish, "send a dataset to S3, once; its URL is a dataset_dir"),
    "rehearse": (rehearse, "run a job short, without AWS, with an interruption"),
    "image": (image, "build the image jobs run in; --push sends it to ECR"),
    "doctor": (doctor, "say what is missing for jobs on AWS"),
    "sweep": (partial(_run_part, "sweep"), "run variants and seeds of a training as jobs, and tabulate them"),
    "tune": (partial(_run_part, "tune_command"), "search settings by many trainings on SageMaker"),
}


def _submit(config: SubmitConfig) -> None:
    spec = check_spec(read_spec(config))
    target = open_target(spec.target, spec.region)
    if config.dry_run:
        _print_json({"spec": asdict(spec), "request": target.describe_request(spec)})
        return
    job_id = target.submit(spec)
    write_record(spec, job_id)
    _tell(f"Submitted. Follow it: roadsense job logs {spec.name} --follow")
    sys.stdout.write(f"{spec.name}\n")
    sys.stdout.flush()
    if config.follow:
        _logs(LogsConfig(spec.name or "", follow=True))


def _resume(config: JobConfig) -> None:
    spec = check_spec(read_submitted_spec(find_record(config.job, config.target, config.region)))
    write_record(spec, open_target(spec.target, spec.region).submit(spec))
    _tell(f"Goes on. Follow it: roadsense job logs {spec.name} --follow")


def _status(config: JobConfig) -> JobStatus:
    record = find_record(config.job, config.target, config.region)
    return open_target(record.target, record.region).status(record.job_id)


def _logs(config: LogsConfig) -> None:
    record = find_record(config.job, config.target, config.region)
    target = open_target(record.target, record.region)
    for line in target.logs(record.job_id, config.follow):
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    if config.follow:
        ended = target.status(record.job_id)
        _tell(f"{record.name}: {ended.state}. {ended.reason}".rstrip())
        if ended.state == JobState.FAILED:
            raise JobError(f"The job {record.name} failed: {ended.reason}")


def _stop(config: StopConfig) -> None:
    record = find_record(config.job, config.target, config.region)
    target = open_target(record.target, record.region)
    target.stop(record.job_id)
    while config.wait and not target.status(record.job_id).state.is_over:
        time.sleep(WAIT_S)
    now = target.status(record.job_id).state
    _tell(f"{record.name}: {now if now.is_over else 'asked to stop'}.")


def _fetch(config: FetchConfig) -> None:
    record = find_record(config.job, config.target, config.region)
    folder = config.folder or Path("runs") / record.name
    fetched = open_target(record.target, record.region).fetch(record.job_id, folder)
    _tell("Every file is as the job left it.")
    sys.stdout.write(f"{fetched}\n")


def _publish(config: PublishConfig) -> None:
    from roadsense.cloud.storage import publish_dataset

    sys.stdout.write(publish_dataset(config.dataset, config.url, config.region) + "\n")


def _list(config: ListConfig) -> None:
    """Lists the jobs of every target asked for. One that doesn't answer is told, and is an error if it was named."""
    submitted = {record.target for record in read_records()} | {"local"}
    names = [config.target] if config.target else [name for name in TARGETS if config.everyone or name in submitted]
    rows: list[JobStatus] = []
    for name in names:
        try:
            rows += open_target(name, config.region).list_jobs(config.everyone)
        except RoadSenseError as error:
            if config.target:
                raise
            _tell(f"{name}: not listed. {error}")
    if config.json:
        _print_json([asdict(row) for row in rows])
    else:
        sys.stdout.write("".join(_tell_row(row) + "\n" for row in rows))


def _tell_row(row: JobStatus) -> str:
    usd = "" if row.usd is None else f"{row.usd:8.2f} USD"
    return f"{row.name:50} {row.target:10} {row.state:8} {row.started:21} {usd:12} {row.phase}  {row.reason}".rstrip()


def _parse(kind: type[Settings], arguments: Sequence[str], name: str) -> Settings:
    return tyro.cli(kind, args=arguments, prog=f"roadsense job {name}")


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, default=str) + "\n")


def _tell(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _usage() -> str:
    lines = [f"  {name:10}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: roadsense job COMMAND [options]; COMMAND --help lists its options", "", *lines, ""])
