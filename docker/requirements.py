"""Prints what an image needs of pyproject.toml: the dependencies, and those of the extras named as arguments.

The versions come from requirements.lock, with which pip is constrained. Only the standard library is used, so that this
runs before anything is installed.
"""

import sys
import tomllib
from pathlib import Path


def list_requirements(pyproject: str, extras: list[str]) -> list[str]:
    """Returns the requirements of the package, of what builds it, and of some of its extras.

    Args:
        pyproject: content of pyproject.toml.
        extras: names of `project.optional-dependencies`.

    Raises:
        SystemExit: if there is no such extra.
    """
    content = tomllib.loads(pyproject)
    project = content["project"]
    known = project["optional-dependencies"]
    unknown = sorted(set(extras) - set(known))
    if unknown:
        raise SystemExit(f"Expected extras of {sorted(known)}, got {unknown}.")
    chosen = [requirement for extra in extras for requirement in known[extra]]
    return sorted({*content["build-system"]["requires"], *project["dependencies"], *chosen})


if __name__ == "__main__":
    sys.stdout.write("\n".join(list_requirements(Path(sys.argv[1]).read_text(), sys.argv[2:])) + "\n")
