"""The list of a program's result folders: the code that writes a folder also notes it here."""

import os
from pathlib import Path

PRODUCTS_VARIABLE = "ROADSENSE_PRODUCTS"
"""Environment variable with the path of the list; without it no folder is noted."""


def record_product(folder: Path) -> None:
    """Notes a finished folder of results in the list, if there is one; jobs keep the listed folders."""
    path = os.environ.get(PRODUCTS_VARIABLE)
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{folder.resolve()}\n")


def read_products(path: Path) -> list[Path]:
    """Returns the listed folders that still exist, each once, in their order."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [folder for folder in map(Path, dict.fromkeys(lines)) if folder.is_dir()]
