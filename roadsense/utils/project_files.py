"""The files that come with the package: notebooks, base scenarios, and what else a new project begins with."""

from importlib.resources import files
from pathlib import Path

from roadsense.utils.workspace import resolve


def project_folder() -> Path:
    """Returns the folder of these files in the installed package."""
    return Path(str(files("roadsense"))) / "project"


def find_file(path: str | Path) -> Path:
    """Returns a path of the workspace, or, if nothing is there, the package's own file or folder of that name.

    Args:
        path: such as `scenarios/base`; that of the workspace is returned if neither has it.
    """
    found, own = resolve(path), project_folder() / path
    return own if own.exists() and not found.exists() else found
