"""The program `roadsense`: reads which command of the table is meant, and runs it; with the smallest commands.

A command's module is imported when the command is called, so making a dataset imports no training library.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.command_table import COMMANDS, list_commands
from roadsense.errors import InputError, RunError
from roadsense.utils.command import (
    DEBUG_VARIABLE,
    load_name,
    parse_options,
    refuse_command,
    run_command,
    run_with_options,
)
from roadsense.utils.files import find_free, reading
from roadsense.utils.terminal import print_table
from roadsense.utils.workspace import resolve


@dataclass(frozen=True)
class RunConfig:
    """Settings of `roadsense run NOTEBOOK [-p NAME VALUE ...]`.

    Attributes:
        notebook: path of the notebook to run.
        output: new file for the executed copy; by default the first free name in `runs/notebooks`.
        parameters: values of the notebook's parameters, by name.
    """

    notebook: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="NOTEBOOK")]
    output: Path | None = None
    parameters: tyro.conf.Suppress[dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyConfig:
    """Settings of `roadsense verify`.

    Attributes:
        dataset: folder of the dataset.
        rebuild: whether to generate the dataset again from its base scenarios and compare byte by byte.
        base_dir: folders of the base scenarios, for `rebuild`; if they don't exist, those of the package.
    """

    dataset: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    rebuild: bool = False
    base_dir: tuple[Path, ...] = (Path("scenarios/base"), Path("scenarios/bends"))


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of `roadsense unpack`.

    Attributes:
        archive: a `.zip` or `.tar.gz` of scenarios.
        folder: new folder for the scenarios.
    """

    archive: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ARCHIVE")]
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]


@dataclass(frozen=True)
class RunsConfig:
    """Settings of `roadsense runs`.

    Attributes:
        words: folder of runs to list, by default `runs`; or `lineage RUN`, which prints the origin of a run's policy;
            or `reproduce RUN`, which prints the commands that make the run again. Without RUN it is the newest.
    """

    words: Annotated[
        tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER | lineage RUN | reproduce RUN")
    ] = ("runs",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code: 0 done, 1 failed, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in words:
        words.remove("--debug")
        os.environ[DEBUG_VARIABLE] = "1"
    name = words[0].replace("_", "-") if words else "--help"
    if name in ("-h", "--help"):
        sys.stdout.write(list_commands())
        return 0
    if name == "--version":
        sys.stdout.write(f"roadsense {version('roadsense')}\n")
        return 0
    if name not in COMMANDS:
        return refuse_command(words[0], COMMANDS, "roadsense")
    command = COMMANDS[name]
    if name == "run":
        return run_command(lambda: _run_with_parameters(words[1:]))
    function = load_name(command.function)
    if not command.config:
        return int(function(words[1:]))
    return run_with_options(function, load_name(command.config), f"roadsense {name}", words[1:])


def verify(config: VerifyConfig) -> None:
    """Compares the files of a dataset with its manifest, and prints that they agree.

    Raises:
        DatasetError: if they differ, naming the differences.
    """
    from roadsense.augment.rebuild import rebuild_differences
    from roadsense.errors import DatasetError
    from roadsense.scenarios.dataset import Dataset

    dataset = Dataset.open(config.dataset)
    differences = dataset.verify()
    if config.rebuild and not differences:
        differences = rebuild_differences(dataset, config.base_dir)
    if differences:
        raise DatasetError(f"{config.dataset} is not what its manifest says: {'; '.join(differences)}.")
    sys.stdout.write(f"{config.dataset}: every file is as its manifest says.\n")


def unpack(config: UnpackConfig) -> None:
    """Checks all scenarios in an archive and unpacks them; if one is not safe, nothing is unpacked."""
    from roadsense.scenarios.archives import unpack_scenarios

    paths = unpack_scenarios(config.archive, config.folder)
    sys.stdout.write(f"{config.folder}: {len(paths)} scenarios unpacked, all of them safe to open.\n")


def _run_with_parameters(words: Sequence[str]) -> None:
    from roadsense.jobs.parameters import take_pairs

    parameters, rest = take_pairs(words)
    description = "Checks parameters (-p NAME VALUE ...), runs a notebook with them, and keeps the executed copy."
    run(replace(parse_options(RunConfig, "roadsense run", rest, description), parameters=parameters))


def run(config: RunConfig) -> None:
    """Checks parameters (-p NAME VALUE ...), runs a notebook with them, and keeps the executed copy."""
    from roadsense.jobs.parameters import decode_parameters
    from roadsense.jobs.runner import run_notebook

    output = config.output or find_free(resolve("runs") / "notebooks" / config.notebook.name)
    executed = run_notebook(config.notebook, output, decode_parameters(config.notebook, config.parameters))
    sys.stdout.write(f"Executed notebook: {executed}\n")


def show_runs(config: RunsConfig) -> None:
    """Lists the runs below a folder with their states, or prints a run's lineage, or how to reproduce it.

    Raises:
        InputError: if more than one folder is given.
        RunError: if there is no such run.
    """
    question, *folders = config.words or ("runs",)
    is_trace = question in ("lineage", "reproduce")
    if len(folders) > is_trace:
        raise InputError(f"Expected one folder, or lineage RUN, or reproduce RUN, got {' '.join(config.words)!r}.")
    if is_trace:
        sys.stdout.write("".join(f"{line}\n" for line in _trace(question, *folders)))
    elif rows := _list(question):
        print_table(("run", "state", "since", "steps", "held-out collisions"), rows)
    else:
        sys.stdout.write(f"No run below {resolve(question)}. Train one with `roadsense train`.\n")


def _trace(question: str, folder: str | None = None) -> list[str]:
    from roadsense.runs.run import open_run
    from roadsense.training.lineage import list_commands, trace_lineage

    run = open_run(folder, trained=False)
    with reading(run.manifest_path, "the origin of a run, here and in its settings", RunError):
        if question == "reproduce":
            return list(list_commands(run))
        return [f"{link:10}{what}" for link, what in trace_lineage(run).items()]


def _list(folder: str) -> list[tuple[str, str, str, str, str]]:
    from roadsense.runs.progress import describe_held_out, read_progress
    from roadsense.runs.run import find_runs

    rows = []
    for found in find_runs(folder):
        progress = read_progress(found, found.read_metrics())
        state = progress.state
        reason = state.reason.partition(". ")[0]
        name = f"{state.name} ({reason})" if reason else state.name
        steps = f"{progress.timesteps:,} of {progress.total:,}"
        rows.append((str(found.folder), name, state.since, steps, describe_held_out(progress.latest)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
