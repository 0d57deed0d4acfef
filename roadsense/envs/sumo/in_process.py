"""SUMO inside this process: the fast backend, one simulation at a time."""

import ctypes
import locale
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import libsumo
from libsumo import _libsumo

from roadsense.errors import SimulationError
from roadsense.utils.compiled import why_plain_python

READINGS = (
    "getAcceleration", "getAngle", "getFollower", "getIDList", "getLaneID", "getLanePosition", "getLeader", "getMinGap",
    "getNextLinks", "getPosition", "getSpeed", "getSpeedWithoutTraCI", "setSpeed",
)  # fmt: skip
"""Functions of a vehicle that are called in every step."""
READER_VERSION = "1.28.0"
"""The libsumo that `states.cpp` was written for: it finds functions by name, which does not say what they return."""


class DirectVehicle(libsumo.vehicle):
    """Vehicles without libsumo's Python wrapper around each function, which takes half the time."""


for _name in READINGS:
    setattr(DirectVehicle, _name, staticmethod(getattr(_libsumo, f"vehicle_{_name}")))


class DirectSimulation(libsumo.simulation):
    """The simulation, in the same way."""

    getCollidingVehiclesIDList = staticmethod(_libsumo.simulation_getCollidingVehiclesIDList)


def read_all_names() -> None:
    """Gives this process a UTF-8 locale if it has none: SUMO needs one to read file names with letters beyond ASCII."""
    if locale.nl_langinfo(locale.CODESET) != "UTF-8":
        os.environ["LC_ALL"] = "C.UTF-8"
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")


@cache
def find_reader() -> ModuleType | None:
    """Returns the compiled module `roadsense.envs.sumo.states`; None if there is none, or it may not run."""
    if libsumo.__version__ == READER_VERSION and not why_plain_python():
        with suppress(ImportError):
            from roadsense.envs.sumo import states

            return states
    return None


class LibsumoBackend:
    """A simulation in this process; see `roadsense.envs.sumo.backend.SumoBackend`.

    libsumo holds one simulation a process and lets a second one replace the first silently; so a second one is
    refused while one is open.
    """

    ERRORS: tuple[type[Exception], ...] = (libsumo.TraCIException, libsumo.FatalTraCIError)
    """The second is no subclass of the first: SUMO raises it when it stops the simulation."""
    NOT_THERE = libsumo.TraCIException

    vehicle = DirectVehicle
    lane, simulation = libsumo.lane, DirectSimulation
    advance = staticmethod(_libsumo.simulation_step)

    _owner: ClassVar["LibsumoBackend | None"] = None

    def __init__(self) -> None:
        self.is_open = False
        self.reader = find_reader()

    def claim(self) -> None:
        """Checks that no other simulation is open in this process.

        Raises:
            SimulationError: if another one is open.
        """
        if LibsumoBackend._owner not in (None, self):
            raise SimulationError(
                "A simulation is already open in this process, and libsumo has room for one. "
                "Close it first, or open this one in a process of its own, as Gymnasium's make_vec does with "
                'vectorization_mode="async" and roadsense.make_vec_env by itself.'
            )

    def load(self, arguments: Sequence[str]) -> None:
        """Replaces the simulation, or starts the first; one that fails to load is open until `close`.

        Args:
            arguments: SUMO's command line.
        """
        was_open, self.is_open = self.is_open, True
        LibsumoBackend._owner = self
        if was_open:
            libsumo.load(arguments)
        else:
            read_all_names()
            keep_xml_parser()
            libsumo.start(["sumo", *arguments])

    def close(self) -> None:
        """Ends the simulation, if there is one. A second call does nothing."""
        if self.is_open:
            libsumo.close()
            self.is_open = False
            LibsumoBackend._owner = None


@cache
def keep_xml_parser() -> bool:
    """Keeps SUMO's XML parser ready from one load to the next; returns whether that was possible.

    SUMO ends the parser, Xerces-C++, with every simulation, and Xerces then builds its Unicode tables again: 2.8 of the
    5 ms of a load (libsumo 1.28). `XMLPlatformUtils::Initialize` and `Terminate` count their calls, so one more
    `Initialize` keeps the tables. Where libsumo contains no Xerces, loads stay as they are; its wheels for Linux
    contain one.
    """
    wheel = Path(libsumo.__file__).parents[1] / "libsumo.libs"
    initialize = "_ZN11xercesc_3_216XMLPlatformUtils10InitializeEPKcS2_PNS_12PanicHandlerEPNS_13MemoryManagerE"
    for library in wheel.glob("libxerces-c-3*.so"):
        with suppress(OSError, AttributeError):
            function = getattr(ctypes.CDLL(str(library)), initialize)
            function.argtypes, function.restype = (
                [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p],
                None,
            )
            function(b"en_US", None, None, None)  # Xerces' own default
            return True
    return False
