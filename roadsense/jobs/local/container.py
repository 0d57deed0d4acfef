"""The target `docker`: runs a job in the image on this machine, with docker or podman."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from roadsense.cloud.downloads import download_run
from roadsense.cloud.session import find_owner
from roadsense.cloud.storage import find_dataset
from roadsense.errors import InputError
from roadsense.jobs.inside.heartbeat import read_beat
from roadsense.jobs.inside.layout import (
    CHANNEL,
    DEFAULT_ROOT,
    RUN_CHANNEL,
    JobLayout,
    job_environment,
    write_layout,
)
from roadsense.jobs.local.engine import PROGRAMS, Container, Engine, Mount, calling_user, find_engine
from roadsense.jobs.local.process import SPEC_NAME, claim_folder, copy_results, limit_command
from roadsense.jobs.parameters import read_parameters
from roadsense.jobs.spec import S3, JobSpec, spec_to_json
from roadsense.jobs.tags import make_tags
from roadsense.jobs.target import JobError, JobState, JobStatus, Plan, UnknownJobError
from roadsense.utils.times import write_time

WORKSPACE = "/opt/roadsense"
"""Project folder in the image."""
FOLDER_LABEL = "roadsense:folder"
NEEDS_TENSORFLOW = ("roadsense.export", "import tensorflow")


class DockerTarget:
    """Runs jobs in containers on this machine.

    A container has no network, runs as the calling user, and writes only to the job's folder. After its end it stays
    until the engine's `rm` removes it.

    Args:
        region: not used.
    """

    def __init__(self, region: str | None = None):
        del region

    @cached_property
    def _engine(self) -> Engine:
        return find_engine()

    def plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        """Returns the engine's command that `submit` runs."""
        del ask
        program = os.environ.get("ROADSENSE_ENGINE", PROGRAMS[0])
        options = describe_job(spec, spec.folder).options()
        return Plan(
            spec,
            spec.name or "",
            [{"command": [program, "run", "--detach", *Engine(program).user_options(), *options]}],
        )

    def submit(self, plan: Plan) -> str:
        """Starts a job and returns its container's name. One that was stopped or failed resumes.

        Raises:
            InputError: if no engine answers, the image is missing, or the job's folder holds other files.
            JobError: if the engine refuses the container.
        """
        spec = plan.spec
        container = describe_job(spec, spec.folder)
        if not self._engine.has_image(container.image):
            raise InputError(
                f"Expected the image {container.image} in the store of {self._engine.program}, found none. Build it: "
                f"roadsense job image --target {container.image.rpartition(':')[2]}."
            )
        if claim_folder(spec.folder, spec, lambda: self._read_state(container.name)):
            with suppress(JobError):  # the earlier start was killed before it made one
                self._engine.run(["rm", container.name])
        prepare_folder(spec, spec.folder)
        self._engine.run(["run", "--detach", *self._engine.user_options(), *container.options()])
        return container.name

    def status(self, job_id: str) -> JobStatus:
        """Returns a job's state from its container and its state file."""
        return _read_status(self._inspect(job_id))

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log; with `follow`, until it is over."""
        self._inspect(job_id)
        words = [self._engine.program, "logs", *(["--follow"] if follow else []), job_id]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            try:
                for line in process.stdout or ():
                    yield line.rstrip("\n")
            finally:
                process.terminate()

    def stop(self, job_id: str) -> None:
        """Asks a job to stop with a checkpoint. `status` shows when it has stopped."""
        if not self.status(job_id).state.is_over:
            with suppress(JobError):  # it has just ended
                self._engine.run(["kill", "--signal=TERM", job_id])

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Copies the results of a job that is over, with its log, into a new folder, and checks them.

        Raises:
            InputError: if the job is running, or the folder is not empty.
            TransferError: if a file is missing or damaged.
        """
        status = self.status(job_id)
        if not status.state.is_over:
            raise InputError(f"Expected a job that is over, but {job_id} is {status.state}. Stop it, or wait.")
        log = "".join(f"{line}\n" for line in self.logs(job_id, follow=False))
        return copy_results(Path(status.output), folder, log)

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns this user's jobs that still have a container; with `everyone`, all running jobs."""
        mine = ["--all", f"--filter=label=roadsense:owner={find_owner()}"]
        words = ["ps", "--format={{.Names}}", "--filter=label=project=roadsense", *([] if everyone else mine)]
        return [self.status(name) for name in self._engine.run(words).split()]

    def _read_state(self, name: str) -> JobState:
        """Returns the state of an earlier start, which failed if it has no container."""
        try:
            return self.status(name).state
        except UnknownJobError:
            return JobState.FAILED

    def _inspect(self, job_id: str) -> dict[str, Any]:
        try:
            (found,) = json.loads(self._engine.run(["container", "inspect", job_id]))
        except JobError as error:
            raise UnknownJobError(f"Expected the name of a job's container, got {job_id!r}: {error}") from error
        if FOLDER_LABEL not in (found["Config"]["Labels"] or {}):
            raise InputError(f"Expected the name of a job's container, but {job_id!r} is another.")
        return found


def choose_image(notebook: Path) -> str:
    """Returns the tag of the smallest image for a notebook: `roadsense:export` if it needs TensorFlow."""
    text = notebook.read_text(encoding="utf-8")
    return f"roadsense:{'export' if any(word in text for word in NEEDS_TENSORFLOW) else 'run'}"


def describe_job(spec: JobSpec, folder: Path) -> Container:
    """Returns the container of a job with a prepared folder; it ends at the job's time limit.

    Args:
        spec: checked spec.
        folder: folder of the job.
    """
    mounts = [Mount(folder, DEFAULT_ROOT, is_writable=True)]
    if spec.dataset:
        mounts.append(Mount(find_dataset(spec.dataset), f"{DEFAULT_ROOT}/input/data/{CHANNEL}"))
    run = find_input_run(spec)
    if run and not run.startswith(S3):
        mounts.append(Mount(Path(run), f"{DEFAULT_ROOT}/input/data/{RUN_CHANNEL}"))
    mounts.append(Mount(Path(spec.notebook), f"{WORKSPACE}/notebooks/{Path(spec.notebook).name}"))
    deadline = datetime.now(UTC) + timedelta(hours=spec.max_hours)
    program, *words = limit_command(spec, "python")
    return Container(
        image=spec.image or choose_image(Path(spec.notebook)),
        name=spec.name or "",
        entrypoint=program,
        words=words,
        mounts=mounts,
        environment=job_environment(spec),
        labels={**make_tags(spec.name or "", spec.tags, deadline, {}), FOLDER_LABEL: str(folder.resolve())},
    )


def find_input_run(spec: JobSpec) -> str:
    """Returns the run that a job's notebook works on, a folder or an S3 URL; empty if the notebook trains a run."""
    run = str(spec.parameters.get("run_dir") or "")
    return "" if "resume" in read_parameters(Path(spec.notebook)) else run


def prepare_folder(spec: JobSpec, folder: Path) -> JobLayout:
    """Writes a job's folder for the user it runs as; files of an earlier start stay."""
    folder.mkdir(parents=True, exist_ok=True)
    spec_to_json(spec, folder / SPEC_NAME)  # first: with it a start that was killed is a job that failed
    layout = write_layout(folder, spec)
    run = find_input_run(spec)
    if run.startswith(S3) and not layout.run_input_dir.is_dir():  # the container has no network
        download_run(run, layout.run_input_dir)
    for mounted in (layout.dataset_dir, *([layout.run_input_dir] if run else [])):
        mounted.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        user, group = (int(number) for number in calling_user().split(":"))
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user, group)
    return layout


def _read_status(found: dict[str, Any]) -> JobStatus:
    state, labels = found["State"], found["Config"]["Labels"]
    layout = JobLayout(Path(labels[FOLDER_LABEL]))
    beat = read_beat(layout.state_path)
    now, reason = JobState.WAITING, ""
    if state["Status"] == "running":
        now = JobState.RUNNING
    elif state["Status"] not in ("created", "configured", "initialized"):
        now, reason = _tell_end(state, layout)
        if now == JobState.DONE and beat is not None and beat.state == JobState.STOPPED:
            now, reason = JobState.STOPPED, beat.reason
    steps = f", {beat.timesteps} of {beat.of_timesteps} steps" if beat and beat.timesteps is not None else ""
    return JobStatus(
        job_id=found["Name"].lstrip("/"),
        name=labels["roadsense:job"],
        target="docker",
        state=now,
        phase=state["Status"] + steps,
        reason=reason,
        started=_tell_time(state["StartedAt"]),
        ended=_tell_time(state["FinishedAt"]) if now.is_over else "",
        output=labels[FOLDER_LABEL],
    )


def _tell_end(state: dict[str, Any], layout: JobLayout) -> tuple[JobState, str]:
    if state["ExitCode"] == 0:
        return JobState.DONE, ""
    if state.get("OOMKilled"):
        return JobState.FAILED, "it needed more memory than this machine gives it"
    if layout.failure_path.is_file():
        return JobState.FAILED, layout.failure_path.read_text().strip()
    return JobState.FAILED, f"exit code {state['ExitCode']}, without a word"


def _tell_time(text: str) -> str:
    """Returns an engine's time, with nanoseconds and time zone, as UTC; empty for the year 1, which means never."""
    time = datetime.fromisoformat(text)
    return "" if time.year == 1 else write_time(time)
