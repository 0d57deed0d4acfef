"""The workspace, which relative paths are resolved against, and the files that come with the package."""

import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

MARK = "scenarios"


def find_workspace() -> Path:
    """Returns the current folder or its nearest parent with a `scenarios` folder; without one, the current folder.

    JupyterLab starts a kernel in the notebook's folder, a headless run in the caller's folder.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / MARK).is_dir()), here)


def resolve(path: str | Path) -> Path:
    """Returns a path that means the same in every folder of the workspace; `~` is the home.

    An absolute path, an existing path, and every path in the workspace's top folder stay unchanged; all others are
    relative to the workspace.
    """
    path = Path(path).expanduser()
    workspace = find_workspace()
    return path if path.exists() or workspace == Path.cwd() else workspace / path


def resolve_fields(config: object, *names: str) -> None:
    """Replaces paths among the settings of a frozen dataclass, where they are not None, by those of the workspace."""
    for name in names:
        if getattr(config, name) is not None:
            object.__setattr__(config, name, resolve(getattr(config, name)))


def enter_workspace() -> Path:
    """Changes to the workspace and returns it."""
    os.chdir(find_workspace())
    return Path.cwd()


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
