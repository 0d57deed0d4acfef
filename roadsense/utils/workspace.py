"""The workspace: the project's folder, against which relative paths are resolved from anywhere inside it."""

import os
from pathlib import Path

MARK = "scenarios"


def find_workspace() -> Path:
    """Returns the nearest folder from here upwards that has a `scenarios` folder; without one, the current folder.

    JupyterLab starts a kernel in the notebook's own folder, a headless run in the caller's.
    """
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / MARK).is_dir()), here)


def resolve(path: str | Path) -> Path:
    """Returns a path that means the same from every folder of the workspace.

    An absolute path, one that exists from here, and every path in the workspace's own folder stay as they are; any
    other is taken from the workspace.
    """
    path = Path(path)
    workspace = find_workspace()
    return path if path.exists() or workspace == Path.cwd() else workspace / path


def enter_workspace() -> Path:
    """Changes to the workspace and returns it."""
    os.chdir(find_workspace())
    return Path.cwd()
