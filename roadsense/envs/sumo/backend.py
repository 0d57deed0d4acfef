"""The interface of the two backends, SUMO in this process or as a program, and the choice between them."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol

from roadsense.envs.sumo.in_process import LibsumoBackend
from roadsense.errors import InputError

BACKENDS = ("libsumo", "traci")


class SumoBackend(Protocol):
    """One simulation, in this process or outside. Both backends give the same trajectories.

    Attributes:
        ERRORS: errors that `load`, `advance` and the readings raise when SUMO refuses or stops.
        NOT_THERE: error that a reading of a vehicle unknown to SUMO raises.
        vehicle: readings and commands of vehicles, under SUMO's names for them.
        lane: readings of lanes.
        simulation: readings of the whole simulation.
        reader: module that reads states and leaders in one call, `roadsense.envs.sumo.states`; None without one.
    """

    ERRORS: tuple[type[Exception], ...]
    NOT_THERE: type[Exception]
    vehicle: Any
    lane: Any
    simulation: Any
    reader: ModuleType | None

    @property
    def is_open(self) -> bool:
        """Whether a simulation is loaded."""

    def claim(self) -> None:
        """Checks that this process may open the simulation."""

    def load(self, arguments: Sequence[str]) -> None:
        """Replaces the simulation, or starts the first."""

    def advance(self, time_s: float, /) -> None:
        """Steps to a simulation time; 0 means one step."""

    def close(self) -> None:
        """Ends the simulation, if there is one. A second call does nothing."""


def make_backend(name: str, step_length_s: float, gui: bool = False) -> SumoBackend:
    """Returns a backend. SUMO starts with its first `load`.

    Args:
        name: `libsumo` for SUMO in this process, fast, one at a time; `traci` for SUMO as a separate program, slower,
            any number at a time.
        step_length_s: length of a simulation step.
        gui: whether to open SUMO's window (traci only).

    Raises:
        InputError: for another name, or a window inside this process.
    """
    if name not in BACKENDS:
        raise InputError(f"Expected a backend of {BACKENDS}, got {name!r}.")
    if gui and name != "traci":
        raise InputError(f"Expected backend='traci' to watch SUMO's window, got {name!r}.")
    if name == "libsumo":
        return LibsumoBackend()
    from roadsense.envs.sumo.over_socket import TraciBackend  # no training needs it

    return TraciBackend(step_length_s, gui)
