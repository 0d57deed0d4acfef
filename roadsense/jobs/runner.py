"""Runs a notebook headless, by hand or as a job: parameters checked, output as it comes, the executed copy kept.

As a job (`python -m roadsense.jobs.runner`) it is the one thing that runs inside every target. Everything it reads and
writes is in one folder, see `layout.py`. It ends with 0 if the notebook ran to its end, or was stopped and left what
there was; with another code if it failed, and says why in `output/failure`.
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
from roadsense.jobs.parameters import check_parameters, pack_parameters
from roadsense.runs.metric_lines import METRIC_VARIABLE
from roadsense.runs.products import PRODUCTS_VARIABLE
from roadsense.runs.stopping import StoppedError
from roadsense.utils.progress import HEADLESS_VARIABLE

if TYPE_CHECKING:
    from roadsense.jobs.inside.execution import Execution

PRODUCTS_NAME = ".products"
"""List of the folders of results that the notebook made."""
__all__ = ["NotebookError", "main", "run_job", "run_notebook"]


def run_notebook(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> Path:
    """Executes a notebook with parameters in a kernel of its own.

    SIGTERM and Ctrl-C are passed on to it: a training keeps a checkpoint. A second Ctrl-C ends it at once.

    Args:
        notebook: the source.
        executed: where the executed copy goes; a new file.
        parameters: by name; each has to be in the notebook's `parameters` cell, with a value of its type.

    Returns:
        `executed`.

    Raises:
        InputError: before anything runs, for a missing notebook, an unknown parameter, a value of another type or a
            copy that is there already.
        NotebookError: if a cell fails.
        StoppedError: if it was stopped.
    """
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
    from roadsense.jobs.inside.execution import Execution  # two seconds, in which a job already listens to signals

    with _nobody_watches():
        Execution(notebook, executed, parameters).run(look)


@contextmanager
def _nobody_watches() -> Iterator[None]:
    """Tells the kernels that are started within it so; this process may have notebooks that are watched."""
    before = os.environ.get(HEADLESS_VARIABLE)
    os.environ[HEADLESS_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[HEADLESS_VARIABLE]


def run_job(layout: JobLayout, environment: Mapping[str, str] = os.environ) -> int:
    """Runs the job that a layout and the environment's variables describe; returns the exit code.

    Every error ends here: it is written to `output/failure` and to standard error.
    """
    signals = StopSignals(layout.stop_path)
    with signals.listening():
        layout.make_folders()
        for path in (layout.failure_path, layout.stop_path, layout.model_dir / CHECKSUMS_NAME):
            path.unlink(missing_ok=True)
        heart = Heartbeat(layout.state_path)
        try:
            state, reason = _run_planned(layout, plan_job(layout, environment), heart, signals)
        except Exception as error:  # the one boundary: whatever it is, the job says so and fails
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
    """Leaves how it ended, and checksums: of the model, which SageMaker takes away by itself, and of everything."""
    heart.write(state, reason)
    write_checksums(layout.model_dir, WHOLE)
    write_checksums(layout.root)


def _run_planned(layout: JobLayout, plan: JobPlan, heart: Heartbeat, signals: StopSignals) -> tuple[str, str]:
    """Runs what was planned; returns how it ended, and why if it was stopped."""
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
    """Runs `python -m roadsense.jobs.runner [train]`; the word SageMaker gives is not needed."""
    return run_job(open_layout())


if __name__ == "__main__":
    sys.exit(main())
