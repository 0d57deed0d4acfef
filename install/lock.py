"""Writes requirements.lock anew from pyproject.toml, and its versions into pyproject.toml, where `uv sync` reads them.

usage: python install/lock.py [option of `uv pip compile`, such as --upgrade ...]

Versions in the lock are kept where they still fit.
"""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LOCK, PYPROJECT = PROJECT / "requirements.lock", PROJECT / "pyproject.toml"
HEADER = "# Every version of the environment. Written by `make lock` from pyproject.toml; do not edit.\n"
BLOCK = re.compile(r"(?<=\nconstraint-dependencies = \[\n).*?(?=\n\]\n)", re.DOTALL)
COMPILE = "uv --no-config --quiet pip compile --universal --python-version 3.11 --all-extras --no-header"


def quote_pins(lock: str) -> str:
    """Returns the pins of a lock as lines of a TOML array."""
    pins = re.findall(r"^[A-Za-z0-9][^\s;]*==[^\s;]+", lock, re.MULTILINE)
    words = " ".join(f'"{pin}",' for pin in pins)
    return textwrap.fill(words, 120, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


def write_lock(options: list[str]) -> None:
    """Compiles the lock and copies its pins."""
    subprocess.run([*COMPILE.split(), *options, "--output-file", LOCK, PYPROJECT], check=True)
    lock = HEADER + LOCK.read_text().removeprefix(HEADER)
    LOCK.write_text(lock)
    PYPROJECT.write_text(BLOCK.sub(lambda _: quote_pins(lock), PYPROJECT.read_text()))


if __name__ == "__main__":
    write_lock(sys.argv[1:])
