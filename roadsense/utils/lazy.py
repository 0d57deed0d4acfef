"""Packages that import each of their names at its first use."""

import importlib
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from typing import Any


def import_lazily(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns `__getattr__` and `__dir__` for a package that exports names from other modules (PEP 562).

    Args:
        package: `__name__` of the package.
        homes: full module name for each exported name.
    """

    def _get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        with _say_in_notebook(f"loading {name}") if homes[name] not in sys.modules else nullcontext():
            return getattr(importlib.import_module(homes[name]), name)

    def _list() -> list[str]:
        return sorted({*homes, *vars(importlib.import_module(package))})

    return _get, _list


def say_in_cell(what: str) -> Callable[[], None]:
    """Shows in a notebook, from the first second on, that the rest of its cell loads something.

    Returns:
        A function that ends the sign before the cell's end.
    """
    shell = sys.modules["IPython"].get_ipython() if "ipykernel" in sys.modules else None
    if shell is None:
        return lambda: None
    signs = ExitStack()
    signs.enter_context(_say_in_notebook(what))

    def _end(*_: object) -> None:
        if _end in shell.events.callbacks["post_run_cell"]:
            shell.events.unregister("post_run_cell", _end)
        signs.close()

    shell.events.register("post_run_cell", _end)
    return _end


def _say_in_notebook(what: str) -> AbstractContextManager[None]:
    """Shows that the kernel of a notebook loads something; nothing elsewhere, where it costs a thread and an import."""
    is_kernel = "ipykernel" in sys.modules
    return importlib.import_module("roadsense.utils.progress").working(what) if is_kernel else nullcontext()
