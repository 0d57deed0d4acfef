"""The program `roadsense`: one table of commands, each with a configuration class and a function that takes it.

A command's module is imported when the command is called, so making a dataset imports no training library.
"""

import difflib
import importlib
import itertools
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from roadsense.errors import InputError
from roadsense.utils.command import DEBUG_VARIABLE, run_command, run_with_options
from roadsense.utils.project_files import find_file
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

    notebook: tyro.conf.Positional[Path]
    output: Path | None = None
    parameters: tyro.conf.Suppress[dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class VerifyConfig:
    """Settings of `roadsense verify`.

    Attributes:
        dataset: folder of the dataset.
        rebuild: whether to generate the dataset again from its base scenarios and compare byte by byte.
        base_dir: folder of the base scenarios, for `rebuild`; if it doesn't exist, those of the package.
    """

    dataset: tyro.conf.Positional[Path]
    rebuild: bool = False
    base_dir: Path = Path("scenarios/base")


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of `roadsense unpack`.

    Attributes:
        archive: a `.zip` or `.tar.gz` of scenarios.
        folder: new folder for the scenarios.
    """

    archive: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]


@dataclass(frozen=True)
class RunsConfig:
    """Settings of `roadsense runs`.

    Attributes:
        words: folder of runs to list, by default `runs`; or `lineage RUN`, which prints the origin of a run's policy;
            or `reproduce RUN`, which prints the commands that make the run again.
    """

    words: tyro.conf.Positional[tuple[str, ...]] = ("runs",)


class Command(NamedTuple):
    """A command: `module:Class` of its settings, `module:function` that takes them, and a summary in one line."""

    config: str
    function: str
    summary: str


COMMANDS: dict[str, Command] = {
    "gen-scenarios": Command(
        "roadsense.augment.config:GenConfig",
        "roadsense.gen_scenarios:generate_and_print",
        "make a dataset: vary base scenarios, check every draw in SUMO",
    ),
    "check-base": Command(
        "roadsense.augment.check_base:CheckBaseConfig",
        "roadsense.augment.check_base:check_and_print",
        "say what of base scenarios can be varied, without generating",
    ),
    "verify": Command("roadsense.cli:VerifyConfig", "roadsense.cli:verify", "compare a dataset with its manifest"),
    "unpack": Command("roadsense.cli:UnpackConfig", "roadsense.cli:unpack", "check and unpack foreign scenarios"),
    "train": Command(
        "roadsense.training.train_config:TrainConfig",
        "roadsense.train_convoy:train_and_print",
        "train a policy on a dataset",
    ),
    "search": Command(
        "roadsense.training.search:SearchConfig",
        "roadsense.training.search:search_and_print",
        "search for settings that train better policies",
    ),
    "evaluate": Command(
        "roadsense.evaluation.config:EvalConfig",
        "roadsense.evaluate:evaluate_and_print",
        "evaluate a policy on held-out scenarios, beside baselines",
    ),
    "enjoy": Command(
        "roadsense.enjoy:EnjoyConfig",
        "roadsense.enjoy:enjoy_and_print",
        "watch a policy drive: SUMO's window, a video or the player",
    ),
    "replay": Command(
        "roadsense.evaluation.replay:ReplayConfig",
        "roadsense.evaluation.replay:replay_and_print",
        "drive an episode of an evaluation again, exactly",
    ),
    "repeat": Command(
        "roadsense.evaluation.replay:ReplayConfig", "roadsense.evaluation.replay:replay_and_print", "the same as replay"
    ),
    "compare": Command(
        "roadsense.evaluation.compare_runs:CompareConfig",
        "roadsense.evaluation.compare_runs:compare_and_print",
        "compare two evaluated runs on the same episodes",
    ),
    "tune-baselines": Command(
        "roadsense.evaluation.tune_baselines:TuneConfig",
        "roadsense.evaluation.tune_baselines:tune_and_print",
        "search for the baselines' best settings on train scenarios",
    ),
    "export": Command(
        "roadsense.exporting.config:ExportConfig",
        "roadsense.export:export_and_print",
        "convert a policy to TFLite and C headers, and compare it with the original",
    ),
    "fit-channel": Command(
        "roadsense.envs.radio.fit:FitConfig",
        "roadsense.envs.radio.fit:fit_and_print",
        "fit a radio to a log of your own hardware's messages",
    ),
    "run": Command("roadsense.cli:RunConfig", "roadsense.cli:run", "run a notebook with parameters, keep the copy"),
    "job": Command("", "roadsense.jobs.cli:main", "run a notebook as a job: here, in the image, or on AWS"),
    "runs": Command(
        "roadsense.cli:RunsConfig", "roadsense.cli:show_runs", "list runs and their state; lineage RUN, reproduce RUN"
    ),
    "watch": Command(
        "roadsense.runs.watch:WatchConfig", "roadsense.runs.watch:watch", "follow a training from any terminal"
    ),
    "doctor": Command("roadsense.doctor:DoctorConfig", "roadsense.doctor:examine_and_print", "check the installation"),
    "workstation": Command(
        "roadsense.jobs.aws.ec2.workstation:WorkstationConfig",
        "roadsense.jobs.aws.ec2.workstation:run_workstation",
        "start a machine on EC2 to work on, with a training in tmux",
    ),
    "init": Command(
        "roadsense.new_project:InitConfig", "roadsense.new_project:make_and_print", "make a folder for a new project"
    ),
    "demo": Command("roadsense.demo:DemoConfig", "roadsense.demo:run_demo", "all four steps once, small: 10 minutes"),
}
"""All commands, by name. Without a configuration class, the function takes the words of the command line."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code: 0 done, 1 failed, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in words:
        words.remove("--debug")
        os.environ[DEBUG_VARIABLE] = "1"
    name = words[0].replace("_", "-") if words else "--help"
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if name == "--version":
        sys.stdout.write(f"roadsense {version('roadsense')}\n")
        return 0
    if name not in COMMANDS:
        return run_command(lambda: _refuse(words[0], name))
    command = COMMANDS[name]
    if name == "run":
        return run_command(lambda: _run_with_parameters(words[1:]))
    function = _load(command.function)
    if not command.config:
        return int(function(words[1:]))
    return run_with_options(function, _load(command.config), f"roadsense {name}", words[1:])


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
        differences = rebuild_differences(dataset, find_file(config.base_dir))
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
    config = tyro.cli(RunConfig, args=rest, prog="roadsense run", description=run.__doc__)
    run(replace(config, parameters=parameters))


def run(config: RunConfig) -> None:
    """Checks parameters (-p NAME VALUE ...), runs a notebook with them, and keeps the executed copy."""
    from roadsense.jobs.parameters import decode_parameters
    from roadsense.jobs.runner import run_notebook

    output = config.output or _find_free(resolve("runs") / "notebooks" / config.notebook.name)
    executed = run_notebook(config.notebook, output, decode_parameters(config.notebook, config.parameters))
    sys.stdout.write(f"Executed notebook: {executed}\n")


def _find_free(path: Path) -> Path:
    numbered = (path.with_stem(f"{path.stem}_{number}") for number in itertools.count(2))
    return next(each for each in itertools.chain([path], numbered) if not each.exists())


def show_runs(config: RunsConfig) -> None:
    """Lists the runs below a folder with their states, or prints a run's lineage, or how to reproduce it.

    Raises:
        InputError: if more than one folder is given.
        RunError: if there is no such run.
    """
    question, *folders = config.words or ("runs",)
    is_trace = question in ("lineage", "reproduce")
    if len(folders) != is_trace:
        raise InputError(f"Expected one folder, or lineage RUN, or reproduce RUN, got {' '.join(config.words)!r}.")
    if is_trace:
        sys.stdout.write("".join(f"{line}\n" for line in _trace(question, *folders)))
    else:
        print_table(("run", "state", "since", "steps", "held-out collisions"), _list(question))


def _trace(question: str, folder: str) -> list[str]:
    from roadsense.runs.run import open_run
    from roadsense.training.lineage import list_commands, trace_lineage

    run = open_run(folder, trained=False)
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


def _refuse(word: str, name: str) -> None:
    close = difflib.get_close_matches(name, COMMANDS, n=1)
    hint = f"Did you mean {close[0]!r}?" if close else f"The commands are {', '.join(COMMANDS)}."
    raise InputError(f"Expected a command of roadsense, got {word!r}. {hint}")


def _load(reference: str) -> Any:
    module, name = reference.split(":")
    return getattr(importlib.import_module(module), name)


def _usage() -> str:
    lines = [f"  {name:15}{command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        ["usage: roadsense COMMAND [options]; COMMAND --help lists its options", "", *lines, "  --version", ""]
    )


if __name__ == "__main__":
    sys.exit(main())
