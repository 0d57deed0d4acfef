"""Where a notebook works: the project's folder, whether it was opened in JupyterLab or run headless."""

import os
from pathlib import Path

MARK = "scenarios"


def enter_workspace() -> Path:
    """Changes to the nearest folder from here upwards that has a `scenarios` folder, and returns it.

    JupyterLab starts a kernel in the notebook's own folder, a headless run in the caller's; after this, relative
    paths mean the same in both. Without such a folder nothing is changed.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MARK).is_dir():
            os.chdir(folder)
            return folder
    return here
