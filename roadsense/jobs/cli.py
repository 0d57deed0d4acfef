"""The commands `roadsense job ...`: one table of settings and functions, all of them through `Job`."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, get_type_hints

import tyro

from roadsense.errors import InputError, RoadSenseError
from roadsense.jobs.aws.sagemaker.trials import plot_trials, tabulate_trials
from roadsense.jobs.cli_settings import (
    FetchConfig,
    JobConfig,
    ListConfig,
    LogsConfig,
    MetricsConfig,
    PublishConfig,
    ResumeConfig,
    StopConfig,
    SubmitConfig,
    TrialsConfig,
)
from roadsense.jobs.job import Job
from roadsense.jobs.metric_series import describe_latest, plot_series
from roadsense.jobs.parameters import decode_parameters, find_notebook
from roadsense.jobs.records import read_records
from roadsense.jobs.shown import confirm
from roadsense.jobs.spec import JobSpec, spec_from_json
from roadsense.jobs.target import TARGETS, JobError, JobState, JobStatus, UnansweredError, open_target
from roadsense.utils.command import load_name, refuse_command, run_command, run_with_options
from roadsense.utils.files import write_atomically
from roadsense.utils.words import take_pairs, tidy_words

WAIT_S = 1.0
TABLE_NAME, PICTURE_NAME = "trials.csv", "trials.png"


class Command(NamedTuple):
    """A command: the function that runs it, `module:function` or one of this module, and what it does."""

    function: str
    help: str


COMMANDS = {
    "submit": Command("submit", "start a notebook or a spec as a job; --dry_run only shows what would be sent"),
    "list": Command("list_jobs", "list jobs; --all lists everything that still costs"),
    "status": Command("show_status", "print what a job is doing, as JSON"),
    "logs": Command("show_logs", "show a job's log; --follow until it is over"),
    "metrics": Command("show_metrics", "show a training's figures; --plot draws them"),
    "trials": Command("show_trials", "list the trials of a search, the best first"),
    "stop": Command("stop_job", "ask a job to stop; a training keeps a checkpoint"),
    "resume": Command("resume_job", "resume a stopped, interrupted or failed job"),
    "fetch": Command("fetch_job", "download a job's results and check them"),
    "publish": Command("publish", "upload a dataset to S3; its URL is a dataset_dir"),
    "rehearse": Command(
        "roadsense.jobs.local.rehearse:rehearse_job", "run a job short on this machine, with an interruption"
    ),
    "image": Command("roadsense.jobs.local.image:make_image", "build the image jobs run in; --push sends it to ECR"),
    "sweep": Command(
        "roadsense.jobs.sweep:run_and_print", "run variants and seeds of a training as jobs, and tabulate them"
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job COMMAND ...`; returns its exit code."""
    name, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if name not in COMMANDS:
        return refuse_command(name, COMMANDS, "roadsense job")
    if name == "submit":
        return run_command(lambda: submit(_read_submit(rest)))
    function = COMMANDS[name].function
    action = load_name(function if ":" in function else f"{__name__}:{function}")
    (settings, _) = get_type_hints(action).values()
    return run_with_options(action, settings, f"roadsense job {name}", rest)


def submit(config: SubmitConfig) -> None:
    """Starts a job and prints its name; on AWS it first shows the request and the price, and asks."""
    job = Job(config.spec)
    if config.dry_run:
        _print_json({"spec": asdict(job.spec), "request": job.request()})
        return
    _start(job, config.yes)
    if config.follow:
        _follow(job, config.resumes)


def show_status(config: JobConfig) -> None:
    """Prints what a job is doing, as JSON."""
    _print_json(asdict(_find(config).status()))


def show_logs(config: LogsConfig) -> None:
    """Shows a job's log; with --follow until it is over."""
    job = _find(config)
    if config.follow:
        _follow(job, config.resumes)
        return
    for line in job.logs():
        sys.stdout.write(line + "\n")


def show_metrics(config: MetricsConfig) -> None:
    """Prints the newest figures of a job's training, on every target, also while it runs."""
    series = _find(config).metrics()
    latest = describe_latest(series)
    if not latest:
        raise JobError(f"{config.job} has printed no figures yet.")
    sys.stdout.write(f"{latest}\n")
    if config.csv is not None:
        write_atomically(config.csv, series.table().to_csv(index=False))
    if config.plot is not None:
        figure = plot_series(series)
        if figure is None:
            raise JobError(f"{config.job} has printed too few figures for curves yet.")
        figure.savefig(config.plot, dpi=150)


def show_trials(config: TrialsConfig) -> None:
    """Lists the trials of a search on SageMaker, the best first."""
    job = _find(JobConfig(config.job, config.target or "sagemaker", config.region))
    trials = job.trials()
    if config.json:
        sys.stdout.write("".join(json.dumps(trial.as_row()) + "\n" for trial in trials))
    elif trials:
        sys.stdout.write(tabulate_trials(trials).to_string(index=False, na_rep="") + "\n")
    if config.output_dir is not None and trials:
        config.output_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(config.output_dir / TABLE_NAME, tabulate_trials(trials).to_csv(index=False))
        figure = plot_trials(trials, "score")
        if figure is not None:
            figure.savefig(config.output_dir / PICTURE_NAME, dpi=150)


def stop_job(config: StopConfig) -> None:
    """Asks a job to stop; a training keeps a checkpoint."""
    job = _find(config)
    job.stop()
    while config.wait and not job.status().state.is_over:
        time.sleep(WAIT_S)
    state = job.status().state
    _note(f"{job.name}: {state if state.is_over else 'asked to stop'}.")


def resume_job(config: ResumeConfig) -> None:
    """Resumes a job from its last checkpoint, with the same settings; on SageMaker under a new name."""
    _start(_find(config).resume(), config.yes)


def fetch_job(config: FetchConfig) -> None:
    """Downloads a job's results (for a search, the best trial's) into a new folder and checks every file."""
    folder = _find(config).fetch(config.folder)
    _note("Every file is as the job left it.")
    sys.stdout.write(f"{folder}\n")


def publish(config: PublishConfig) -> None:
    """Uploads a dataset to S3, if it is not there yet, and prints its URL."""
    from roadsense.cloud.storage import publish_dataset

    sys.stdout.write(publish_dataset(config.dataset, config.url, config.region) + "\n")


def list_jobs(config: ListConfig) -> None:
    """Lists the jobs of every target. Names what doesn't answer; with --target that is an error behind the list."""
    submitted = {record.target for record in read_records()} | {"local"}
    names = [config.target] if config.target else [name for name in TARGETS if config.everyone or name in submitted]
    rows: list[JobStatus] = []
    failed: RoadSenseError | None = None
    for name in names:
        try:
            rows += open_target(name, config.region).list_jobs(config.everyone)
        except RoadSenseError as error:
            failed, found = error, error.found if isinstance(error, UnansweredError) else []
            rows += found
            if not config.target:
                _note(f"{name}: not {'all ' if found else ''}listed. {error}")
    if config.json:
        _print_json([asdict(row) for row in rows])
    else:
        sys.stdout.write("".join(_describe_row(row) + "\n" for row in rows))
    if failed is not None and config.target:
        raise failed


def _read_submit(words: Sequence[str]) -> SubmitConfig:
    """Returns the settings of `submit`; it reads the job first, because the options change the job's fields."""
    parameters, rest = take_pairs(words, "-p")
    tags, rest = take_pairs(rest, "-t")
    named = next((word for word in rest[:1] if not word.startswith("-")), None)
    spec = spec_from_json(named) if named and Path(named).suffix == ".json" else JobSpec(named or "01_train")
    options = tidy_words(SubmitConfig, rest[1:] if named else rest, "roadsense job submit")
    config = tyro.cli(SubmitConfig, args=options, prog="roadsense job submit JOB", default=SubmitConfig(spec))
    if named is None:
        raise InputError("Expected a notebook or a spec's file as the first word behind submit, got none.")
    values = decode_parameters(find_notebook(spec.notebook), parameters) if parameters else {}
    changed = replace(config.spec, parameters={**spec.parameters, **values}, tags={**spec.tags, **tags})
    return replace(config, spec=changed)


def _find(config: JobConfig) -> Job:
    return Job.find(config.job, config.target, config.region)


def _start(job: Job, is_confirmed: bool) -> None:
    if job.spec.is_cloud:
        confirm(job.request(), is_confirmed)
    job.submit()
    _note(f"Submitted. Follow it: roadsense job logs {job.name} --follow")
    sys.stdout.write(f"{job.name}\n")
    sys.stdout.flush()


def _follow(job: Job, resumes: int) -> None:
    ended = job.follow(resumes)
    _note(f"{job.name}: {ended.state}. {ended.reason}".rstrip())
    if ended.state == JobState.FAILED:
        raise JobError(f"The job {job.name} failed: {ended.reason}")


def _describe_row(row: JobStatus) -> str:
    usd = "" if row.usd is None else f"{row.usd:8.2f} USD"
    return f"{row.name:50} {row.target:10} {row.state:8} {row.started:21} {usd:12} {row.phase}  {row.reason}".rstrip()


def _print_json(content: object) -> None:
    sys.stdout.write(json.dumps(content, indent=2, default=str) + "\n")


def _note(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _usage() -> str:
    lines = [f"  {name:10}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(["usage: roadsense job COMMAND [options]; COMMAND --help lists its options", "", *lines, ""])
