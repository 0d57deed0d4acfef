"""The user's own functions and classes, named as `module:name`."""

import importlib
import sys
from pathlib import Path
from typing import Any

from roadsense.errors import InputError
from roadsense.utils.files import hash_file

FAULTS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, RuntimeError, SyntaxError,
    TypeError, ValueError,
)  # fmt: skip
"""Errors of code that is the user's own."""


def find_own(reference: str) -> Any:
    """Returns what `module:name` is; modules in the current folder are found.

    Raises:
        InputError: if there is no such module or name.
    """
    module_name, _, name = reference.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise InputError(
            f"Expected a function or object of yours as module:name, got {reference!r} ({error}). The module has to be "
            "installed or in the current folder."
        ) from error
    except FAULTS as error:
        raise InputError(
            f"Expected a module of yours that can be imported, got {reference!r} ({type(error).__name__}: {error}). "
            "Mend the module."
        ) from error
    return found


def hash_own(reference: str) -> str:
    """Returns the SHA-256 of the source file in which `module:name` is, or `unknown` if it has none."""
    find_own(reference)
    path = getattr(sys.modules[reference.partition(":")[0]], "__file__", None)
    return hash_file(Path(path)) if path else "unknown"
