"""Packages that import each of their names at its first use."""

import importlib
from collections.abc import Callable, Mapping
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
        return getattr(importlib.import_module(homes[name]), name)

    def _list() -> list[str]:
        return sorted({*homes, *vars(importlib.import_module(package))})

    return _get, _list
