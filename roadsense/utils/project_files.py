"""The files that come with the package: notebooks, base scenarios and the other first files of a new project."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from roadsense.utils.workspace import resolve

Folders = str | Path | Iterable[str | Path]
"""A folder or several."""


def project_folder() -> Path:
    """Returns the folder of these files in the installed package."""
    return Path(str(files("roadsense"))) / "project"


def find_file(path: str | Path) -> Path:
    """Returns a path in the workspace, or, if nothing is there, the package's file or folder of that name.

    Args:
        path: relative path, such as `scenarios/base`; if neither has it, the workspace's path is returned.
    """
    found, own = resolve(path), project_folder() / path
    return own if own.exists() and not found.exists() else found


def find_folders(paths: Folders) -> tuple[Path, ...]:
    """Returns what `find_file` finds for each of some paths, or for a single one."""
    return tuple(find_file(path) for path in ([paths] if isinstance(paths, str | Path) else paths))
