"""What makes the tab key complete commands, options and files: `roadsense completion bash`."""

import sys
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union

import tyro

from roadsense.command_table import COMMANDS
from roadsense.utils.command import load_name


@dataclass(frozen=True)
class CompletionConfig:
    """Settings of `roadsense completion`.

    Attributes:
        shell: the shell; its line for the start file is in `docs/how-to/installation.md`.
    """

    shell: Annotated[Literal["bash", "zsh", "tcsh"], tyro.conf.Positional, tyro.conf.arg(metavar="bash|zsh|tcsh")]


def print_completion(config: CompletionConfig) -> None:
    """Prints a script for a shell; put `eval "$(roadsense completion bash)"` into `~/.bashrc`."""
    commands = tuple(_describe(name) for name in COMMANDS)
    everything: Any = Union[commands]  # noqa: UP007, made of a tuple
    sys.stdout.flush()
    tyro.cli(everything, prog="roadsense", args=["--tyro-print-completion", config.shell])


def _describe(name: str) -> Any:
    """Returns a command as tyro knows subcommands; one that reads its words by itself has no options there."""
    command = COMMANDS[name]
    found = load_name(command.config) if command.config else NoConfig
    return Annotated[found, tyro.conf.subcommand(name, description=command.summary, prefix_name=False)]


@dataclass(frozen=True)
class NoConfig:
    """Stands for a command with commands of its own."""
