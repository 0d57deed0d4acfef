"""`roadsense init`: a folder with all that one's own project begins with."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.errors import InputError
from roadsense.utils.files import refuse_existing
from roadsense.utils.project_files import project_folder


@dataclass(frozen=True)
class InitConfig:
    """Settings of `roadsense init`.

    Attributes:
        folder: new folder of the project.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]


def make_project(config: InitConfig) -> Path:
    """Copies notebooks, base scenarios, ranges, a job and a Makefile into a new folder; returns it.

    Raises:
        InputError: if the folder holds something already.
    """
    refuse_existing(config.folder, "the project", InputError)
    shutil.copytree(
        project_folder(), config.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*")
    )
    return config.folder


def make_and_print(config: InitConfig) -> None:
    """Makes the project and says how to go on."""
    folder = make_project(config)
    sys.stdout.write(f"{folder}: a new project. In it, `make demo` does all of it small, and `make` lists the steps.\n")
