"""What a job's spec is checked against: the notebook, the settings its parameters become, and the dataset."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.parameters import CONFIGS, FURTHER, load_config, pack_parameters, read_parameters
from roadsense.utils.project_files import project_folder

NOTEBOOK_DIR = "notebooks"
UNCHECKED = ("output_dir", "base_dir", "ranges_file", "run_dir", "resume")
"""Parameters that name a file: it may be there only on the machine that runs the job."""


def find_notebook(notebook: str | Path) -> Path:
    """Returns the path of a notebook that is named by its path or by its name in `notebooks`.

    Raises:
        InputError: if there is none.
    """
    path = Path(notebook)
    name = f"{path.name.removesuffix('.ipynb')}.ipynb"
    places = [Path(NOTEBOOK_DIR), project_folder() / NOTEBOOK_DIR] if path.parent == Path() else []
    for candidate in (path, *(place / name for place in places)):
        if candidate.is_file():
            return candidate
    known = sorted({found.stem for place in places for found in place.glob("*.ipynb")})
    raise InputError(f"Expected a notebook{f' of {known}' if known else ''} or its path, found none at {notebook}.")


def check_settings(notebook: Path, given: Mapping[str, Any]) -> None:
    """Builds the settings a notebook builds of its parameters, so that a value it refuses is refused here.

    Raises:
        InputError: as the settings raise it.
    """
    if notebook.stem not in CONFIGS:
        return
    config = load_config(notebook)
    known = {field.name for field in fields(config)} - set(UNCHECKED)
    packed = pack_parameters(notebook, given)
    values = {name: parameter.default for name, parameter in read_parameters(notebook).items()} | packed
    values |= values.pop(FURTHER, {})
    settings = {name: value for name, value in values.items() if name in known and value is not None}
    try:
        config(**settings)
    except InputError as error:
        wrong = [name for name in given if name in known and _is_usable(config, settings, name)]
        raise InputError(f"{notebook.name}, {' or '.join(wrong) or 'its parameters'}: {error}") from error


def _is_usable(config: Callable[..., object], settings: Mapping[str, Any], without: str) -> bool:
    try:
        config(**{name: value for name, value in settings.items() if name != without})
    except InputError:
        return False
    return True
