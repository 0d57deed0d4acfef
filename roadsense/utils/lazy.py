"""Packages whose names are imported when they are first used."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def import_lazily(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Returns the `__getattr__` and `__dir__` of a package that names things of other modules (PEP 562).

    Args:
        package: `__name__` of the package.
        homes: full name of the module of each name.
    """

    def _get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    def _list() -> list[str]:
        return sorted({*homes, *vars(importlib.import_module(package))})

    return _get, _list
