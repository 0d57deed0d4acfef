"""Runs a notebook headless, by hand or as a job: checks parameters, shows output live, keeps the executed copy.

Every target runs a job by this program (`python -m roadsense.jobs.runner`). It reads and writes everything in one
folder, see `layout.py`. The exit code is 0 if the notebook ran to its end, or was stopped and its results so far were
kept. After a failure it is another code, and `output/failure` gives the reason.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadsense.cloud.checksums import CHECKSUMS_NAME, WHOLE, write_checksums
from roadsense.errors import InputError, NotebookError, RoadSenseError
from roadsense.jobs.inside.heartbeat import Heartbeat
from roadsense.jobs.inside.layout import JobLayout, open_layout
from roadsense.jobs.inside.plan import JobPlan, plan_job
from roadsense.jobs.inside.results import gather_products, gather_run
from roadsense.jobs.inside.signals import StopSignals
from roadsense.jobs.parameters import check_parameters, pack_parameters, read_values
from roadsense.runs.metric_lines import METRIC_VARIABLE
from roadsense.runs.products import PRODUCTS_VARIABLE
from roadsense.runs.stopping import StoppedError
from roadsense.utils.progress import HEADLESS_VARIABLE

if TYPE_CHECKING:
    from roadsense.jobs.inside.execution import Execution

PRODUCTS_NAME = ".products"
"""File that lists the result folders of the notebook."""
__all__ = ["NotebookError", "main", "run_job", "run_notebook"]


def run_notebook(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> Path:
    """Executes a notebook with parameters in its own kernel.

    SIGTERM and Ctrl-C are passed on to the kernel: a training keeps a checkpoint. A second Ctrl-C ends it at once.

    Args:
        notebook: path of the notebook.
        executed: new file for the executed copy.
        parameters: values by name; each name must be in the notebook's `parameters` cell, each value of its type.

    Returns:
        `executed`.

    Raises:
        InputError: before anything runs, for a missing notebook, an unknown parameter, a value of another type or a
            copy that already exists.
        NotebookError: if a cell fails.
        StoppedError: if the notebook was stopped.
    """
    parameters = read_values(notebook, parameters)
    known = check_parameters(notebook, parameters)
    if executed.exists():
        raise InputError(f"Expected a new file for the executed notebook, but {executed} is there. Name another.")
    executed.parent.mkdir(parents=True, exist_ok=True)
    values = {name: parameter.default for name, parameter in known.items()} | dict(parameters)
    folder = values.get("resume") or values.get("run_dir")
    signals = StopSignals()
    signals.run_dir = Path(folder) if folder else None
    with signals.listening():
        _execute(notebook, executed, pack_parameters(notebook, parameters), signals.pass_on)
    return executed


def _execute(
    notebook: Path, executed: Path, parameters: Mapping[str, Any], look: Callable[["Execution"], object]
) -> None:
    from roadsense.jobs.inside.execution import Execution  # takes two seconds; a job already listens to signals

    with _nobody_watches():
        Execution(notebook, executed, parameters).run(look)


@contextmanager
def _nobody_watches() -> Iterator[None]:
    """Marks kernels started inside this block as headless; other notebooks of this process may have a viewer."""
    before = os.environ.get(HEADLESS_VARIABLE)
    os.environ[HEADLESS_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[HEADLESS_VARIABLE]


def run_job(layout: JobLayout, environment: Mapping[str, str] = os.environ) -> int:
    """Runs the job that a layout and the environment's variables describe; returns the exit code.

    Every error is caught here and written to `output/failure` and to standard error.
    """
    signals = StopSignals(layout.stop_path)
    with signals.listening():
        layout.make_folders()
        for path in (layout.failure_path, layout.stop_path, layout.model_dir / CHECKSUMS_NAME):
            path.unlink(missing_ok=True)
        heart = Heartbeat(layout.state_path)
        try:
            state, reason = _run_planned(layout, plan_job(layout, environment), heart, signals)
        except Exception as error:  # the outermost boundary: the job reports any error and fails
            is_known = isinstance(error, RoadSenseError)
            reason = str(error) if is_known else f"{type(error).__name__}: {error}"
            layout.write_failure(reason)
            sys.stderr.write(f"error: {reason}\n")
            _end(layout, heart, "failed", reason)
            if not is_known:
                raise
            return getattr(error, "exit_code", 1)
        _end(layout, heart, state, reason)
    return 0


def _end(layout: JobLayout, heart: Heartbeat, state: str, reason: str) -> None:
    """Writes how the job ended, and checksums: of the model, which SageMaker uploads alone, and of everything."""
    heart.write(state, reason)
    write_checksums(layout.model_dir, WHOLE)
    write_checksums(layout.root)


def _run_planned(layout: JobLayout, plan: JobPlan, heart: Heartbeat, signals: StopSignals) -> tuple[str, str]:
    """Runs a planned job; returns its final state, and the reason if it was stopped."""
    heart.run_dir = signals.run_dir = plan.trained_dir
    if plan.is_finished:
        sys.stderr.write(f"{plan.trained_dir} was trained to its end by an earlier start of this job.\n")
        _gather(layout, plan)
        return "done", ""
    os.environ[METRIC_VARIABLE] = "1"
    os.environ[PRODUCTS_VARIABLE] = str((layout.root / PRODUCTS_NAME).resolve())
    heart.beat()

    def _look(execution: "Execution") -> None:
        heart.beat()
        signals.pass_on(execution)

    try:
        _execute(plan.notebook, plan.executed, plan.parameters, _look)
    except StoppedError as error:
        sys.stderr.write(f"{error}\n")
        return "stopped", str(error)
    finally:
        _gather(layout, plan)
    return "done", ""


def _gather(layout: JobLayout, plan: JobPlan) -> None:
    if plan.trained_dir is not None:
        gather_run(plan.trained_dir, layout.model_dir)
    gather_products(layout.root / PRODUCTS_NAME, layout.model_dir)
    if plan.executed.is_file():
        (layout.model_dir / plan.notebook.name).write_bytes(plan.executed.read_bytes())


def main() -> int:
    """Runs `python -m roadsense.jobs.runner [train]`; it ignores the word `train`, which SageMaker adds."""
    return run_job(open_layout())


if __name__ == "__main__":
    sys.exit(main())
