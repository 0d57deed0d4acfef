"""Everything RoadSense raises on purpose.

Each message says what was expected, what came, and what to do about it.
"""


class RoadSenseError(Exception):
    """Base of all errors that a user can cause or has to know about.

    Attributes:
        exit_code: what a command ends with.

    Example:
        >>> import roadsense as rs
        >>> rs.EnvConfig(penetration=2)
        Traceback (most recent call last):
        roadsense.errors.InputError: Expected penetration from 0 to 1, got 2.
    """

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that a notebook shows: the message alone, as it says what to do."""
        return [f"{type(self).__name__}: {self}"]


class InputError(RoadSenseError):
    """Raised when a setting, a parameter or a path is not usable as given."""

    exit_code = 2


class ScenarioError(InputError):
    """Raised when a scenario is missing, broken or not safe to open."""


class DatasetError(InputError):
    """Raised when a dataset is missing, incomplete or not what its manifest says."""


class RunError(InputError):
    """Raised when a run folder is missing, incomplete or would be overwritten."""


class MachineError(RoadSenseError):
    """Raised when the machine fails the work: disk full, no permission, out of memory, too slow.

    The same command may succeed later, or on another machine; the data is not at fault.
    """

    exit_code = 3


class SimulationError(RoadSenseError):
    """Raised when SUMO refuses a scenario or stops in the middle of one."""


class NoRoomError(SimulationError):
    """Raised when a convoy finds no room on the road at its departure."""


class GateError(RoadSenseError):
    """Raised when too many draws of a base scenario fail their proof by simulation."""


class ExportError(RoadSenseError):
    """Raised when a policy cannot be converted, or the converted one does not act like the original."""


class NotebookError(RoadSenseError):
    """Raised when a cell of a notebook fails. The executed copy up to that cell is kept."""
