"""Prints the part of requirements.lock that an image needs: the dependencies, those of some extras, and theirs.

usage: requirements.py PYPROJECT LOCK [EXTRA ...]

What needs what is in the lock's own comments (`# via ...`), so that pip installs exactly these versions and has nothing
to find out. Only the standard library is used: this runs before anything is installed.
"""

import re
import sys
import tomllib
from pathlib import Path

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==\S+")
NEEDED_BY = re.compile(r"\s+#\s+(?:via\s+)?([A-Za-z0-9][A-Za-z0-9._-]*)")


def normalise(name: str) -> str:
    """Returns a package's name as indexes spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(lock: str) -> tuple[dict[str, str], dict[str, set[str]]]:
    """Reads a lock as pip-compile writes it.

    Args:
        lock: its content.

    Returns:
        The pin of each package by its name, and the names of the packages that each needs.
    """
    pins: dict[str, str] = {}
    needs: dict[str, set[str]] = {}
    name = ""
    for line in lock.splitlines():
        if pin := PIN.match(line):
            name = normalise(pin[1])
            pins[name] = pin[0]
        elif name and (parent := NEEDED_BY.fullmatch(line)) and parent[1] != "via":
            needs.setdefault(normalise(parent[1]), set()).add(name)
    return pins, needs


def list_requirements(pyproject: str, lock: str, extras: list[str]) -> list[str]:
    """Returns the pins of all that the package needs with some extras, and what builds it, which a lock leaves out.

    Args:
        pyproject: content of pyproject.toml.
        lock: content of requirements.lock.
        extras: names of `project.optional-dependencies`.

    Raises:
        SystemExit: if there is no such extra, or the lock is older than pyproject.toml.
    """
    content = tomllib.loads(pyproject)
    known = content["project"]["optional-dependencies"]
    unknown = sorted(set(extras) - set(known))
    if unknown:
        raise SystemExit(f"Expected extras of {sorted(known)}, got {unknown}.")
    wanted = [*content["project"]["dependencies"], *(text for extra in extras for text in known[extra])]
    names = [normalise(re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0]) for text in wanted]
    pins, needs = read_lock(lock)
    missing = sorted(set(names) - set(pins))
    if missing:
        raise SystemExit(f"Expected {', '.join(missing)} in requirements.lock, found none. Renew it: make lock.")
    found: set[str] = set()
    while names:
        name = names.pop()
        if name not in found:
            found.add(name)
            names += needs.get(name, ())
    return [*sorted(pins[name] for name in found), *content["build-system"]["requires"]]


if __name__ == "__main__":
    project, versions = (Path(path).read_text() for path in sys.argv[1:3])
    sys.stdout.write("\n".join(list_requirements(project, versions, sys.argv[3:])) + "\n")
