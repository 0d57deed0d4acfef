"""The commands `roadsense drive ...`: one table of settings and functions."""

import sys
from collections.abc import Sequence
from typing import NamedTuple

from roadsense.utils.command import load_name, refuse_command, run_with_options


class Command(NamedTuple):
    """A command: `module:Class` of its settings, `module:function` that takes them, and a summary in one line."""

    config: str
    function: str
    summary: str


COMMANDS = {
    "judge": Command(
        "roadsense.drives.judge:JudgeConfig", "roadsense.drives.judge:judge_and_print",
        "what would a policy have done on this drive?",
    ),
    "compare": Command(
        "roadsense.drives.compare:CompareConfig", "roadsense.drives.compare:compare_and_print",
        "where does the drive lie outside of what a training saw?",
    ),
    "base": Command(
        "roadsense.drives.base:BaseConfig", "roadsense.drives.base:make_and_print",
        "turn the drive into a base scenario",
    ),
    "hazards": Command(
        "roadsense.drives.hazards:HazardsConfig", "roadsense.drives.hazards:cut_and_print",
        "cut the hard brakings out of drives, for the environment",
    ),
    "simulate": Command(
        "roadsense.drives.simulate:SimulateConfig", "roadsense.drives.simulate:simulate_and_print",
        "write logs of a simulated drive, with the truth beside",
    ),
}  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Runs `roadsense drive WORDS`; returns its exit code."""
    name, *rest = words or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {name:10}{command.summary}" for name, command in COMMANDS.items()]
        head = "usage: roadsense drive COMMAND [options]; COMMAND --help lists its options"
        sys.stdout.write("\n".join([head, "", *lines, ""]))
        return 0
    if name not in COMMANDS:
        return refuse_command(name, COMMANDS, "roadsense drive")
    command = COMMANDS[name]
    return run_with_options(load_name(command.function), load_name(command.config), f"roadsense drive {name}", rest)
