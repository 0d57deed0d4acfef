"""How every command ends: its errors in one line, and an exit code."""

import sys
from collections.abc import Callable

from roadsense.errors import RoadSenseError


def run_command(action: Callable[[], object]) -> int:
    """Runs an action; returns 0, or the exit code of the `RoadSenseError` it raised after printing it."""
    try:
        action()
    except RoadSenseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0
