"""All errors that RoadSense raises.

Each message says what was expected, what was given, and what to do.
"""


class RoadSenseError(Exception):
    """Base of all errors that a user can cause or has to know about.

    Attributes:
        exit_code: exit code of a command after this error.

    Examples:
        >>> import roadsense as rs
        >>> rs.EnvConfig(penetration=2)
        Traceback (most recent call last):
        roadsense.errors.InputError: Expected penetration to be a number from 0 to 1, got 2.
    """

    exit_code = 1

    def _render_traceback_(self) -> list[str]:
        """Returns the lines that a notebook shows: only the message, which says what to do."""
        return [f"{type(self).__name__}: {self}"]


class InputError(RoadSenseError):
    """Raised when a setting, a parameter or a path cannot be used."""

    exit_code = 2


class ScenarioError(InputError):
    """Raised when a scenario is missing, broken or not safe to open."""


class DatasetError(InputError):
    """Raised when a dataset is missing, incomplete or differs from its manifest."""


class RunError(InputError):
    """Raised when a run folder is missing, incomplete or would be overwritten."""


class DriveError(InputError):
    """Raised when a recorded drive cannot be read, or its units cannot be right."""


class MachineError(RoadSenseError):
    """Raised when the machine causes a failure: disk full, no permission, out of memory, too slow.

    The same command may succeed later, or on another machine; the data is not the cause.
    """

    exit_code = 3


class SimulationError(RoadSenseError):
    """Raised when SUMO refuses a scenario or stops during its simulation."""


class NoRoomError(SimulationError):
    """Raised when a convoy finds no room on the road at its departure."""


class GateError(RoadSenseError):
    """Raised when the gate rejects too many draws of a base scenario."""


class ExportError(RoadSenseError):
    """Raised when a policy cannot be converted, or the converted policy acts differently from the original."""


class NotebookError(RoadSenseError):
    """Raised when a cell of a notebook fails. The executed copy up to that cell is kept."""
