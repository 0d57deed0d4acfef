"""Executes a notebook in its own kernel, which can be interrupted and always ends.

papermill runs in its own thread: in the main thread, nbclient would handle SIGTERM and SIGINT and kill the kernel
before it saves a checkpoint.
"""

import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from roadsense.errors import NotebookError, RoadSenseError
from roadsense.runs.stopping import StoppedError
from roadsense.utils.scratch import scratch_folder

AUTOSAVE_S = 10
LOOK_EVERY_S = 0.2
KERNEL_OPTIONS = {"transport": "ipc", "shutdown_wait_time": 5}
STOP_NAMES = (StoppedError.__name__, KeyboardInterrupt.__name__)
"""Errors of a cell that was stopped and did not fail."""
SILENT_NAME = "CellExecutionError"
"""papermill's name for an error that is missing in the cell's output, such as an interrupt at the cell's start."""


class Execution:
    """One execution of a notebook.

    Args:
        notebook: path of the notebook.
        executed: file for the executed copy, written after each cell.
        parameters: checked parameters, by name.
    """

    def __init__(self, notebook: Path, executed: Path, parameters: Mapping[str, Any]):
        self._notebook, self._executed, self._parameters = notebook, executed, dict(parameters)
        self._kernels: list[int] = []
        self._is_in_cell = self._is_to_stop = self._is_killed = False
        self._work: Future[Any] | None = None

    def run(self, look: Callable[["Execution"], object]) -> None:
        """Executes the notebook; returns when it has ended.

        Args:
            look: function that is called several times a second, in the calling thread.

        Raises:
            NotebookError: if a cell fails or the kernel dies.
            StoppedError: if a cell was stopped or interrupted, or did not hear that and `kill` ended it.
        """
        with ThreadPoolExecutor(1, "papermill") as pool:
            self._work = pool.submit(self._execute)
            while not wait([self._work], LOOK_EVERY_S).done:
                look(self)
        try:
            self._work.result()
        except (PapermillExecutionError, DeadKernelError) as error:
            raise self._translate(error) from error

    def interrupt(self) -> bool:
        """Stops further cells from starting, and sends SIGINT to the kernel, not to its workers, if a cell runs.

        Returns:
            Whether a cell runs.
        """
        self._is_to_stop = True
        return self._is_in_cell and self._signal(signal.SIGINT)

    def kill(self) -> None:
        """Ends the kernel at once; only the executed copy is kept."""
        self._is_to_stop = self._is_killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> bool:
        if not self._kernels or self._work is None or self._work.done():
            return False
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(self._kernels[-1], number)
        return True

    def _execute(self) -> None:
        # The parameters are checked already; papermill does not understand `int | None`, and warns of each.
        logging.getLogger("papermill").setLevel(logging.ERROR)
        with scratch_folder("kernel-") as folder:  # its sockets: the working folder may be read-only
            options = {
                "KernelManager": KERNEL_OPTIONS | {"ip": str(folder / "ipc")},
                "NotebookClient": {
                    "kernel_manager_class": _tell_process(self._kernels),
                    "on_cell_start": lambda **_: self._begin_cell(),
                    "on_cell_complete": lambda **_: self._mark_cell(True),  # complete means sent to the kernel
                    "on_cell_executed": lambda **_: self._mark_cell(False),
                },
            }
            papermill.execute_notebook(
                str(self._notebook),
                str(self._executed),
                parameters=self._parameters,
                progress_bar=False,
                stdout_file=sys.stdout,
                stderr_file=sys.stderr,
                autosave_cell_every=AUTOSAVE_S,
                coalesce_streams=True,
                config=Config(options),
            )

    def _begin_cell(self) -> None:
        # SIGINT would kill a starting kernel, and a kernel between two cells ignores it.
        if self._is_to_stop:
            raise StoppedError(f"{self._notebook.name}: stopped between two cells. The copy is {self._executed}.")

    def _mark_cell(self, is_running: bool) -> None:
        self._is_in_cell = is_running

    def _translate(self, error: PapermillExecutionError | DeadKernelError) -> RoadSenseError:
        name, kept = self._notebook.name, f"The executed copy is {self._executed}."
        if isinstance(error, DeadKernelError) and self._is_killed:
            return StoppedError(f"{name}: asked to stop, it did not end by itself and was killed. {kept}")
        if isinstance(error, DeadKernelError):
            return NotebookError(f"{name}: its kernel died, out of memory or by a crash of native code. {kept}")
        if error.ename in STOP_NAMES or (self._is_to_stop and error.ename == SILENT_NAME):
            return StoppedError(f"{name}, In [{error.exec_count}]: {error.evalue or 'Interrupted.'} {kept}")
        return NotebookError(f"{name}, In [{error.exec_count}]: {error.ename}: {error.evalue}. {kept}")


def _tell_process(kernels: list[int]) -> type[AsyncKernelManager]:
    """Returns a kernel manager that appends the process id of each started kernel to `kernels`."""

    class TellingManager(AsyncKernelManager):
        async def _async_post_start_kernel(self, **options: Any) -> None:
            await super()._async_post_start_kernel(**options)
            if isinstance(self.provisioner, LocalProvisioner) and self.provisioner.pid:
                kernels.append(self.provisioner.pid)

        post_start_kernel = _async_post_start_kernel

    return TellingManager
