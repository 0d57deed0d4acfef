"""Runs a notebook headless: parameters checked, output shown as it comes, the executed copy kept."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets.config import Config

from roadsense.errors import InputError, RoadSenseError
from roadsense.progress import HEADLESS_VARIABLE

AUTOSAVE_S = 10
KERNEL_OPTIONS = {"transport": "ipc", "shutdown_wait_time": 5}
TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list, tuple),
}


class NotebookError(RoadSenseError):
    """Raised when a cell of a notebook fails. The executed copy up to that cell is kept."""


def run_notebook(notebook: Path, executed: Path, parameters: Mapping[str, Any]) -> Path:
    """Executes a notebook with parameters in a kernel of its own.

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
    """
    check_parameters(notebook, parameters)
    if executed.exists():
        raise InputError(f"Expected a new file for the executed notebook, but {executed} is there. Name another.")
    executed.parent.mkdir(parents=True, exist_ok=True)
    os.environ[HEADLESS_VARIABLE] = "1"
    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=dict(parameters),
            progress_bar=False,
            stdout_file=sys.stdout,
            stderr_file=sys.stderr,
            autosave_cell_every=AUTOSAVE_S,
            coalesce_streams=True,
            config=Config({"KernelManager": KERNEL_OPTIONS}),
        )
    except PapermillExecutionError as error:
        raise NotebookError(
            f"{notebook.name}, In [{error.exec_count}]: {error.ename}: {error.evalue}. The executed copy with the "
            f"traceback is {executed}."
        ) from error
    except DeadKernelError as error:
        raise NotebookError(
            f"{notebook.name}: its kernel died, out of memory or by a crash of native code. What ran until then is in "
            f"{executed}."
        ) from error
    return executed


def check_parameters(notebook: Path, parameters: Mapping[str, Any]) -> None:
    """Checks parameters against a notebook's `parameters` cell; papermill itself only warns.

    Raises:
        InputError: naming the parameter, what was expected and what came.
    """
    if not notebook.is_file():
        raise InputError(f"Expected a notebook at {notebook}, found none. Check the path.")
    known = papermill.inspect_notebook(str(notebook))
    for name, value in parameters.items():
        if name not in known:
            raise InputError(f"{notebook.name}: expected parameters of {sorted(known)}, got {name!r}.")
        expected = known[name]["inferred_type_name"]
        allowed = TYPES.get(expected, (object,))
        is_wrong_bool = isinstance(value, bool) and expected in ("int", "float")
        if not isinstance(value, allowed) or is_wrong_bool:
            raise InputError(f"{notebook.name}: expected {name} to be {expected}, got {value!r}.")
