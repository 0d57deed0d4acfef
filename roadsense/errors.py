"""Everything RoadSense raises on purpose.

Each message says what was expected, what came, and what to do about it.
"""


class RoadSenseError(Exception):
    """Base of all errors a user can cause or has to know about. `exit_code` is what a command ends with."""

    exit_code = 1


class InputError(RoadSenseError):
    """Raised when a setting, a parameter or a path is not usable as given."""

    exit_code = 2


class ScenarioError(InputError):
    """Raised when a scenario is missing, broken or not safe to open."""


class DatasetError(InputError):
    """Raised when a dataset is missing, incomplete or not what its manifest says."""


class RunError(InputError):
    """Raised when a run folder is missing, incomplete or would be overwritten."""


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
