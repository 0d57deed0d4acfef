"""The target `local`: runs a job as a process on this machine, in its own folder, independent of the terminal."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from roadsense.cloud.checksums import CHECKSUMS_NAME, RESULTS, check_checksums
from roadsense.cloud.storage import find_dataset
from roadsense.errors import InputError
from roadsense.jobs.inside.heartbeat import JobBeat, read_beat
from roadsense.jobs.inside.layout import NOTEBOOK_VARIABLE, ROOT_VARIABLE, JobLayout, job_environment, write_layout
from roadsense.jobs.records import RECORD_NAME, RECORDS_DIR
from roadsense.jobs.spec import JobSpec, spec_from_json, spec_to_json
from roadsense.jobs.target import JobError, JobState, JobStatus, Plan
from roadsense.utils.scratch import arriving

SPEC_NAME, LOG_NAME, LOCK_NAME, PROCESS_NAME = "spec.json", "run.log", ".lock", ".process"
END_S = 120
"""Time from the stop request at the time limit until the job is killed, seconds, as on SageMaker."""
LOOK_EVERY_S, PATIENCE_S = 0.5, 10.0
_NOTE_ITSELF = 'echo $$ >"$0" && exec "$@"'
"""Script that writes the process's own number, so that a job can be stopped even if who submitted it was killed."""


class LocalTarget:
    """Runs jobs as processes. A job's id is its folder.

    Args:
        region: not used.
    """

    def __init__(self, region: str | None = None):
        del region

    def plan(self, spec: JobSpec, ask: bool = False) -> Plan:
        """Returns the command that `submit` runs, and its environment variables."""
        del ask
        folder = spec.folder
        call = {"command": _command(spec, folder), "environment": _environment(spec, folder), "folder": str(folder)}
        return Plan(spec, str(folder), [call])

    def submit(self, plan: Plan) -> str:
        """Starts a job and returns its folder. One that was stopped or failed resumes.

        Raises:
            InputError: if the folder holds other files.
            JobError: if the process cannot be started.
        """
        folder, spec = Path(plan.job_id), plan.spec
        has_lock = (folder / LOCK_NAME).is_file()  # else it was on another target
        claim_folder(folder, spec, lambda: self.status(str(folder)).state if has_lock else None)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / LOCK_NAME).open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"Expected a job that is over, but {folder} is running. Stop it, or wait.") from None
            (folder / PROCESS_NAME).unlink(missing_ok=True)
            (folder / LOG_NAME).touch()
            spec_to_json(spec, folder / SPEC_NAME)  # first: with it a start that was killed is a job that failed
            write_layout(folder, spec, find_dataset(spec.dataset) if spec.dataset else None)
            _start(spec, folder, lock.fileno())
        return str(folder)

    def status(self, job_id: str) -> JobStatus:
        """Returns a job's state from its lock and its state file."""
        folder = find_folder(job_id)
        spec, beat = spec_from_json(folder / SPEC_NAME), read_beat(JobLayout(folder).state_path)
        state, reason = _tell_state(folder, beat)
        return JobStatus(
            job_id=str(folder),
            name=spec.name or folder.name,
            target="local",
            state=state,
            phase=beat.tell_progress() if beat else "starting",
            reason=reason,
            started=beat.started if beat else "",
            ended=beat.at if beat and state.is_over else "",
            output=str(folder),
        )

    def logs(self, job_id: str, follow: bool) -> Iterator[str]:
        """Yields the lines of a job's log; with `follow`, until it is over."""
        folder = find_folder(job_id)
        with (folder / LOG_NAME).open(encoding="utf-8", errors="replace") as log:
            rest = ""
            while True:
                is_over = not _is_locked(folder)
                *lines, rest = (rest + log.read()).split("\n")
                yield from lines
                if is_over or not follow:
                    break
                time.sleep(LOOK_EVERY_S)
        if rest and is_over:  # a running job is still writing this line
            yield rest

    def stop(self, job_id: str) -> None:
        """Asks a job to stop with a checkpoint. `status` shows when it has stopped."""
        folder = find_folder(job_id)
        if _is_locked(folder):
            number = _read_process(folder)
            JobLayout(folder).stop_path.write_text(signal.SIGTERM.name)  # it may not have begun to heed signals
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(number, signal.SIGTERM)

    def fetch(self, job_id: str, folder: Path) -> Path:
        """Copies the results of a job that is over into a new folder, and checks them.

        Raises:
            InputError: if the job is running, or the folder is not empty.
            TransferError: if a file is missing or damaged.
        """
        source = find_folder(job_id)
        if _is_locked(source):
            raise InputError(f"Expected a job that is over, but {job_id} is running. Stop it, or wait.")
        return copy_results(source, folder, (source / LOG_NAME).read_text(errors="replace"))

    def list_jobs(self, everyone: bool) -> list[JobStatus]:
        """Returns the jobs of this working folder, the oldest first, from all users."""
        del everyone
        specs = sorted(RECORDS_DIR.glob(f"*/{SPEC_NAME}"), key=lambda path: path.stat().st_mtime)
        return [self.status(str(path.parent)) for path in specs if spec_from_json(path).target == "local"]


def copy_results(source: Path, folder: Path, log: str) -> Path:
    """Copies a job's results and its log into a new folder, completely or not at all, and returns the folder.

    Raises:
        InputError: if the folder is not empty.
        TransferError: if a file is missing or damaged.
    """
    with arriving(folder) as part:
        for name in RESULTS:
            shutil.copytree(source / name, part / name)
        for name in (SPEC_NAME, CHECKSUMS_NAME):
            if (source / name).is_file():
                shutil.copy2(source / name, part / name)
        (part / LOG_NAME).write_text(log)
        check_checksums(part)
    return folder


def find_folder(job_id: str) -> Path:
    """Returns the folder of a local job, given its folder or its name in `runs/jobs`.

    Raises:
        InputError: if there is no such job.
    """
    for folder in (Path(job_id), RECORDS_DIR / job_id):
        if (folder / SPEC_NAME).is_file() and (folder / LOCK_NAME).is_file():
            return folder
    raise InputError(f"Expected a local job's folder or name, found no job at {job_id!r}. See roadsense job list.")


def limit_command(spec: JobSpec, python: str = sys.executable) -> list[str]:
    """Returns the command of a job: `timeout` sends SIGTERM at its limit, and passes on a SIGTERM that it receives."""
    limit = ["timeout", "--foreground", "--preserve-status", f"--kill-after={END_S}", str(spec.limit_s)]
    return [*limit, python, "-m", "roadsense.jobs.runner"]


def _command(spec: JobSpec, folder: Path) -> list[str]:
    return ["sh", "-c", _NOTE_ITSELF, str((folder / PROCESS_NAME).resolve()), *limit_command(spec)]


def _start(spec: JobSpec, folder: Path, lock: int) -> None:
    """Starts a job's process; it and its runner inherit the lock, which is held while one of them runs."""
    with (folder / LOG_NAME).open("ab") as log:
        try:
            subprocess.Popen(
                _command(spec, folder),
                env={**os.environ, **_environment(spec, folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=[lock],
                start_new_session=True,
            )
        except OSError as error:
            raise JobError(f"The job's process did not start: {error}.") from error


def _read_process(folder: Path) -> int:
    """Returns the number of a running job's process, which writes it as the first thing it does."""
    path, until_s = folder / PROCESS_NAME, time.monotonic() + PATIENCE_S
    while not (text := path.read_text() if path.is_file() else "").endswith("\n"):
        if time.monotonic() > until_s:
            raise JobError(f"{folder} is only being submitted: there is no process to stop yet. Try again.")
        time.sleep(LOOK_EVERY_S / 10)
    return int(text)


def _environment(spec: JobSpec, folder: Path) -> dict[str, str]:
    own = {ROOT_VARIABLE: str(folder.resolve()), NOTEBOOK_VARIABLE: str(Path(spec.notebook).resolve())}
    return {**job_environment(spec), **own}


def claim_folder(folder: Path, spec: JobSpec, read_state: Callable[[], JobState | None]) -> bool:
    """Makes a job's folder ready for a start; returns whether an earlier start of the job left files there.

    Args:
        folder: folder of the job.
        spec: checked spec.
        read_state: function that returns the state of the earlier start, or None if it was on another target.

    Raises:
        InputError: if the folder holds other files, or the earlier start was neither stopped nor failed.
    """
    if not folder.exists() or (folder.is_dir() and all(_is_before_start(path) for path in folder.iterdir())):
        return False
    begun = spec_from_json(folder / SPEC_NAME) if (folder / SPEC_NAME).is_file() else None
    is_same = all(getattr(begun, name, None) == getattr(spec, name) for name in ("notebook", "parameters", "dataset"))
    state = read_state() if begun is not None and is_same else None
    if state not in (JobState.STOPPED, JobState.FAILED):
        raise InputError(
            f"Expected a new folder for the job, or that of one with the same notebook and parameters that was stopped "
            f"or failed, but {folder} is {state or 'another'}. Give the job another name."
        )
    layout = JobLayout(folder)
    for path in (layout.state_path, layout.stop_path, folder / CHECKSUMS_NAME):
        path.unlink(missing_ok=True)
    return True


def _is_before_start(path: Path) -> bool:
    """Returns whether a file of a job's folder is written before its spec: a start that was killed may leave it."""
    return path.name in (RECORD_NAME, LOCK_NAME, LOG_NAME) or path.suffix == ".part"


def _tell_state(folder: Path, beat: JobBeat | None) -> tuple[JobState, str]:
    if _is_locked(folder):
        return JobState.RUNNING, ""
    if beat is None and JobLayout(folder).stop_path.is_file():
        return JobState.STOPPED, "it was stopped before it began"
    if beat is None or beat.state == JobState.RUNNING:
        return JobState.FAILED, f"its process died; see {folder / LOG_NAME}. Submit it again to resume it."
    return JobState(beat.state), beat.reason


def _is_locked(folder: Path) -> bool:
    with (folder / LOCK_NAME).open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
