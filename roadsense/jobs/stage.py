"""Where a rehearsal takes place: in a job's image, or in a bare process with the same folders and variables."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from roadsense.errors import InputError
from roadsense.jobs.docker import describe_job, find_dataset_folder, prepare_folder
from roadsense.jobs.engine import Engine, find_engine
from roadsense.jobs.layout import NOTEBOOK_VARIABLE, ROOT_VARIABLE, JobLayout, job_environment, write_layout
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.target import JobError

KEPT_VARIABLES = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR")
"""All that a bare process sees of this one's environment: no credentials among them."""
LOOK_EVERY_S = 0.05
LAST_LINES = 15


class Start:
    """One start of a job that runs now.

    Args:
        command: what runs it, until it is over.
        log_path: its output goes there.
        environment: of the command.
        folder: it runs in.
    """

    def __init__(self, command: list[str], log_path: Path, environment: dict[str, str], folder: Path):
        self._log_path = log_path
        with log_path.open("ab") as log:
            self._begin = log.tell()
            self._process = subprocess.Popen(
                command, env=environment, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def read_log(self) -> str:
        """Returns what this start has written until now."""
        with self._log_path.open("rb") as log:
            log.seek(self._begin)
            return log.read().decode(errors="replace")

    def wait_for(self, words: str, max_s: float) -> None:
        """Waits until words are in the log.

        Raises:
            JobError: if it ends before, or they do not come in time.
        """
        end_s = time.monotonic() + max_s
        while words not in self.read_log():
            if self._process.poll() is not None:
                raise self.complain(f"it ended with {self._process.returncode} before it said {words!r}")
            if time.monotonic() > end_s:
                raise self.complain(f"it did not say {words!r} in {max_s:.0f} s")
            time.sleep(LOOK_EVERY_S)

    def wait(self, max_s: float) -> int:
        """Waits until it is over and returns its exit code.

        Raises:
            JobError: if it is not in time.
        """
        try:
            return self._process.wait(max_s)
        except subprocess.TimeoutExpired:
            raise self.complain(f"it did not end in {max_s:.0f} s") from None

    def terminate(self) -> None:
        """Tells it to stop, by SIGTERM."""
        self._process.terminate()

    def kill(self) -> None:
        """Ends it at once, with all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def complain(self, what: str) -> JobError:
        """Returns an error with what was wrong, and the end of the log."""
        lines = self.read_log().splitlines()[-LAST_LINES:]
        return JobError("\n".join([f"The rehearsal failed: {what}. The end of its log, {self._log_path}:", *lines]))


class Stage(Protocol):
    """Where a job is rehearsed."""

    def describe(self, spec: JobSpec) -> str:
        """Returns where that is, in words."""

    def prepare(self, spec: JobSpec, folder: Path) -> JobLayout:
        """Writes the folder that the job finds."""

    def start(self, spec: JobSpec, layout: JobLayout) -> AbstractContextManager[Start]:
        """Starts the job, for a `with`, in which it is over at the end."""


class ProcessStage:
    """A bare process of this Python, for a machine without an engine."""

    def describe(self, spec: JobSpec) -> str:
        """Returns that it is a process."""
        return "a bare process; the image itself is not rehearsed"

    def prepare(self, spec: JobSpec, folder: Path) -> JobLayout:
        """Writes the folder, with a link to the dataset."""
        return write_layout(folder, spec, find_dataset_folder(spec))

    @contextmanager
    def start(self, spec: JobSpec, layout: JobLayout) -> Iterator[Start]:
        """Starts the runner; a job for another machine does not see the folder this one works in."""
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        root = layout.root.resolve()
        environment = {**kept, **job_environment(spec), ROOT_VARIABLE: str(root), "PYTHONUNBUFFERED": "1"}
        if not spec.is_cloud:  # there the image's own runs, by its name
            environment[NOTEBOOK_VARIABLE] = str(Path(spec.notebook).resolve())
        command = [sys.executable, "-m", "roadsense.jobs.runner", "train"]
        folder = Path.cwd() if spec.target == "local" else root
        begun = Start(command, root.with_suffix(".log"), environment, folder)
        try:
            yield begun
        finally:
            begun.kill()


class ContainerStage:
    """The image a job runs in."""

    @cached_property
    def _engine(self) -> Engine:
        return find_engine()

    def describe(self, spec: JobSpec) -> str:
        """Returns the image.

        Raises:
            InputError: if it isn't in the engine's store.
        """
        image = describe_job(spec, Path()).image
        if not self._engine.has_image(image):
            raise InputError(
                f"Expected the image {image} in the store of {self._engine.program}, found none. Build or pull it, or "
                "rehearse without it: --bare."
            )
        return f"{image} ({self._engine.program})"

    def prepare(self, spec: JobSpec, folder: Path) -> JobLayout:
        """Writes the folder, for the container's user."""
        return prepare_folder(spec, folder)

    @contextmanager
    def start(self, spec: JobSpec, layout: JobLayout) -> Iterator[Start]:
        """Starts a container, which is removed at the end."""
        container = replace(describe_job(spec, layout.root), name=f"rehearsal-{secrets.token_hex(4)}")
        command = [self._engine.program, "run", "--rm", *self._engine.user_options(), *container.options()]
        begun = Start(command, layout.root.resolve().with_suffix(".log"), dict(os.environ), Path.cwd())
        try:
            yield begun  # the engine's command passes SIGTERM on to the container
        finally:
            with suppress(JobError):  # it is over, and removed
                self._engine.run(["kill", container.name])
            begun.kill()
