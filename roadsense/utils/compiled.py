"""Lists the modules that are compiled to C if there is a compiler, and chooses between compiled code and Python.

`setup.py` compiles `MODULES` with mypyc and records the hashes of their sources. If a source has changed, old
compiled code never runs: all these modules run as plain Python until the package is installed again. The
environment variable `ROADSENSE_PURE=1` has the same effect, for debugging and for comparisons. Both give the same
results to the last bit.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

PURE_VARIABLE = "ROADSENSE_PURE"
PACKAGE = Path(__file__).parents[1]
RECORD = PACKAGE / "compiled.json"
"""File with the SHA-256 of each compiled source, written by the build."""

MODULES = (
    "roadsense.envs.assist",
    "roadsense.envs.cars_behind",
    "roadsense.envs.convoy",
    "roadsense.envs.driver",
    "roadsense.envs.episode",
    "roadsense.envs.hazard_control",
    "roadsense.envs.hazard_profile",
    "roadsense.envs.metrics",
    "roadsense.envs.observation",
    "roadsense.envs.radio.channel",
    "roadsense.envs.radio.equipped",
    "roadsense.envs.radio.radio_cars",
    "roadsense.envs.reward",
    "roadsense.envs.sensing",
    "roadsense.envs.sumo.connection",
    "roadsense.envs.sumo.road",
    "roadsense.envs.world",
)
"""The modules that run in every step of the environment. They hold no dataclass: a compiled one cannot be pickled."""
READER = PACKAGE / "envs" / "sumo" / "states.cpp"
"""Source of the module that reads states of vehicles from SUMO, with no equal in Python: see `roadsense.envs.sumo`."""


def source_of(module: str) -> Path:
    """Returns the source file of a module of the package."""
    return PACKAGE.parent.joinpath(*module.split(".")).with_suffix(".py")


def hash_sources() -> dict[str, str]:
    """Returns the SHA-256 of each source in `MODULES`, and of `READER`."""
    sources = {module: source_of(module) for module in MODULES} | {READER.name: READER}
    return {name: hashlib.sha256(source.read_bytes()).hexdigest() for name, source in sources.items()}


def why_plain_python() -> str:
    """Returns why `MODULES` run as plain Python; empty if they run compiled."""
    if os.environ.get(PURE_VARIABLE, "0") not in ("", "0"):
        return f"{PURE_VARIABLE} is set"
    try:
        recorded = json.loads(RECORD.read_text())
    except (OSError, ValueError):
        return "nothing was compiled when it was installed"
    return (
        ""
        if recorded == hash_sources()
        else "sources have changed since they were compiled: run `pip install --no-deps -e .` again"
    )


class _SourceFinder(MetaPathFinder):
    """Finds the sources of `MODULES` even if compiled files are next to them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a module in `MODULES`."""
        return spec_from_file_location(fullname, source_of(fullname)) if fullname in MODULES else None


def choose_code() -> None:
    """Makes later imports of `MODULES` use the compiled files, or the sources if the compiled files are not usable."""
    if why_plain_python():
        sys.meta_path.insert(0, _SourceFinder())


def is_compiled() -> bool:
    """Returns whether this process runs compiled modules."""
    spec = find_spec(MODULES[-1])
    return spec is not None and not str(spec.origin).endswith(".py")
