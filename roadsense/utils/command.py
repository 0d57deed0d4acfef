"""How every command runs: options become settings, an error becomes one line, and the result an exit code."""

import inspect
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from roadsense.errors import RoadSenseError

INTERRUPTED = 130
"""Exit code of a program that Ctrl-C ended, as shells know it."""
Settings = TypeVar("Settings")


def run_command(action: Callable[[], object]) -> int:
    """Runs an action and returns the exit code of the program.

    Returns:
        0, or the number that the action returned; after a `RoadSenseError`, which is printed, its `exit_code`; after
        Ctrl-C, 130.
    """
    try:
        code = action()
    except RoadSenseError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return INTERRUPTED
    return code if isinstance(code, int) else 0


def run_with_options(
    action: Callable[[Settings], object], kind: type[Settings], prog: str, arguments: Sequence[str] | None = None
) -> int:
    """Runs an action with the settings that the command line gives; returns the exit code.

    Args:
        action: what the command does; the first paragraph of its docstring is shown by `--help`.
        kind: class of its settings; each field is an option. Its `read_default`, if it has one, gives the defaults for
            a command line, as from a file that is named there.
        prog: name of the command, as `roadsense train`.
        arguments: words of the command line behind that name; None for those of this process.
    """
    import tyro

    description = inspect.cleandoc(action.__doc__ or "").partition("\n\n")[0]

    def read_settings() -> Settings:
        read_default = getattr(kind, "read_default", None)
        defaults = {"default": read_default(arguments)} if read_default else {}
        return tyro.cli(kind, args=arguments, prog=prog, description=description, **defaults)

    return run_command(lambda: action(read_settings()))
