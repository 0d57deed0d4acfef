"""Runs every command: options become settings, an error becomes one line, and the result an exit code."""

import contextlib
import difflib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import tyro
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from roadsense.errors import InputError, MachineError, RoadSenseError
from roadsense.utils.files import describe_os_error
from roadsense.utils.words import tidy_words

DEBUG_VARIABLE = "ROADSENSE_DEBUG"
"""Environment variable that makes a command print the traceback of its error."""
INTERRUPTED = 130
"""Usual exit code of a program that Ctrl-C ended."""
OTHER_NAMES = {"n_workers": "workers", "n_steps": "episode_steps"}
"""Names of settings in Python, and former ones, whose option has the same name in every command."""
_FORMER = re.compile(rf"^--({'|'.join(name.replace('_', '[-_]') for name in OTHER_NAMES)})(?==|$)", re.IGNORECASE)
Settings = TypeVar("Settings")


def run_command(action: Callable[[], object]) -> int:
    """Runs an action and returns the exit code of the program.

    Returns:
        0, or the number that the action returned; after a `RoadSenseError`, which is printed, its `exit_code`; after
        an error of the machine (disk, permission, path), 3; after Ctrl-C, 130. With the environment variable
        `ROADSENSE_DEBUG`, set by `roadsense --debug`, the traceback is printed too.
    """
    try:
        code = action()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (RoadSenseError, OSError, KeyboardInterrupt) as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        return _end_with(error)
    return code if isinstance(code, int) else 0


def _end_with(error: RoadSenseError | OSError | KeyboardInterrupt) -> int:
    if isinstance(error, KeyboardInterrupt):
        message, code = "interrupted", INTERRUPTED
    elif isinstance(error, OSError):
        message, code = f"error: {describe_os_error(error)}", MachineError.exit_code
    else:
        message, code = f"error: {error}", error.exit_code
    with contextlib.suppress(OSError):  # a full or closed standard error must not hide the exit code
        sys.stderr.write(f"{escape(message)}\n")
    return code


def escape(text: str) -> str:
    """Returns a text without control characters, which could move a terminal's cursor or hide later text."""
    return "".join(char if char.isprintable() or char in "\n\t" else repr(char)[1:-1] for char in text)


def load_name(reference: str) -> Any:
    """Returns what `module:name` names; the module is imported now."""
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


def refuse_command(word: str, known: Collection[str], prog: str) -> int:
    """Says that a word is none of the commands of a program, and which one may be meant; returns the exit code."""
    close = difflib.get_close_matches(word.replace("_", "-"), known, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"The commands are {', '.join(known)}."
    return _end_with(InputError(f"Expected a command of {prog}, got {word!r}. {hint}"))


def run_with_options(
    action: Callable[[Settings], object], kind: type[Settings], prog: str, arguments: Sequence[str] | None = None
) -> int:
    """Runs an action with the settings that the command line gives; returns the exit code.

    Args:
        action: what the command does; the first paragraph of its docstring is shown by `--help`.
        kind: class of its settings; each field is an option. Its `read_default`, if it has one, gives the defaults for
            a command line, for example from a file named there.
        prog: name of the command, as `roadsense train`.
        arguments: words of the command line after that name; None for those of this process.
    """
    description = inspect.cleandoc(action.__doc__ or "").partition("\n\n")[0]
    return run_command(lambda: action(parse_options(kind, prog, arguments, description)))


def _spell(kind: type[Any], words: Sequence[str]) -> list[str]:
    """Returns the words of a command line with every option by its present name, and the first word as `kind.FIRST`."""
    first = getattr(kind, "FIRST", "")
    named = [f"--{first}={words[0]}", *words[1:]] if first and words and not words[0].startswith("-") else list(words)
    own = {each.name for each in fields(kind) if get_origin(each.type) is not Annotated}
    return [_FORMER.sub(lambda found: _rename(found, own), word) for word in named]


def _rename(found: re.Match[str], own: set[str]) -> str:
    name = found[1].replace("-", "_").lower()
    return found[0] if name in own else f"--{OTHER_NAMES[name]}"


def _optional(given: PrimitiveTypeInfo) -> PrimitiveConstructorSpec[Any] | None:
    """Shows a setting that may be None by its kind alone, as `PATH`, and reads `None` as None."""
    (kind, *others) = [one for one in get_args(given.type) if one is not type(None)] or [None]
    if type(None) not in get_args(given.type) or others or kind not in (str, int, float, Path):
        return None
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=kind.__name__.upper(),
        instance_from_str=lambda words: None if words[0] == "None" else kind(words[0]),
        is_instance=lambda value: value is None or isinstance(value, kind),
        str_from_instance=lambda value: [str(value)],
    )


def parse_options(
    kind: type[Settings], prog: str, arguments: Sequence[str] | None = None, description: str = ""
) -> Settings:
    """Returns the settings that the command line gives.

    A class with `FIRST` takes the setting of that name as the first word too. A class with a property `given`, as the
    settings of a training with a preset, gets only the settings on the command line. See `run_with_options` for the
    arguments.
    """
    words = tidy_words(kind, _spell(kind, sys.argv[1:] if arguments is None else arguments), prog)
    prog += " [RUN|POLICY]" if getattr(kind, "FIRST", "") else ""
    read_default = getattr(kind, "read_default", None)
    defaults = {"default": read_default(words)} if read_default else {}
    registry = ConstructorRegistry()
    registry.primitive_rule(_optional)
    with registry:
        settings = tyro.cli(kind, args=words, prog=prog, description=description, **defaults)
    if not hasattr(kind, "given"):
        return settings
    options = {word.partition("=")[0].lstrip("-").replace("-", "_") for word in words if word.startswith("--")}
    options |= {former for former, name in OTHER_NAMES.items() if name in options}
    named = options | {option.removeprefix("no_") for option in options}
    return kind(**{name: value for name, value in vars(settings).items() if name in named})
