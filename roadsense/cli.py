"""The program `roadsense`: the table of its commands, and those that are too small for a module of their own.

A command's module is imported when the command is called, so making a dataset imports no training library.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union

import tyro

from roadsense.errors import InputError
from roadsense.utils.command import (
    DEBUG_VARIABLE,
    load_name,
    parse_options,
    refuse_command,
    run_command,
    run_with_options,
)
from roadsense.utils.files import find_free, refuse_existing
from roadsense.utils.words import take_pairs
from roadsense.utils.workspace import project_folder, resolve

GROUPS = {
    "project": "roadsense init my_project",
    "data": "roadsense gen-scenarios --base_dir scenarios/base --output_dir scenarios/dataset_v1",
    "train": "roadsense train --dataset_dir scenarios/dataset_v1/train --run_dir runs/first",
    "judge": "roadsense evaluate runs/first --beside default",
    "ship": "roadsense export runs/first",
    "drives": "roadsense drive judge drives/sample --policy runs/first",
    "cloud": "roadsense job submit notebooks/01_train.ipynb --target ec2 --dry_run",
}
"""The groups of commands in the order in which they are needed, each with an example."""


class Command(NamedTuple):
    """A command.

    Attributes:
        config: `module:Class` of its settings; empty if the function takes the words of the command line.
        function: `module:function` that takes them.
        summary: what it does, in one line.
        group: its group, one of `GROUPS`.
    """

    config: str
    function: str
    summary: str
    group: str


COMMANDS: dict[str, Command] = {
    "init": Command(
        "roadsense.cli:InitConfig", "roadsense.cli:make_project", "make a folder for a new project",
        "project",
    ),
    "demo": Command(
        "roadsense.demo:DemoConfig", "roadsense.demo:run_demo", "all four steps once, small: 10 minutes", "project"
    ),
    "doctor": Command(
        "roadsense.doctor:DoctorConfig", "roadsense.doctor:examine_and_print", "check the installation", "project"
    ),
    "run": Command(
        "roadsense.cli:RunConfig", "roadsense.cli:run", "run a notebook with parameters, keep the copy", "project"
    ),
    "completion": Command(
        "roadsense.cli:CompletionConfig", "roadsense.cli:print_completion",
        "print what makes the tab key complete commands: bash, zsh, tcsh", "project",
    ),
    "gen-scenarios": Command(
        "roadsense.augment.config:GenConfig", "roadsense.gen_scenarios:generate_and_print",
        "make a dataset: vary base scenarios, check every draw in SUMO", "data",
    ),
    "check-base": Command(
        "roadsense.augment.check_base:CheckBaseConfig", "roadsense.augment.check_base:check_and_print",
        "say what of base scenarios can be varied, without generating", "data",
    ),
    "verify": Command(
        "roadsense.augment.rebuild:VerifyConfig", "roadsense.augment.rebuild:verify",
        "compare a dataset with its manifest", "data",
    ),
    "unpack": Command(
        "roadsense.cli:UnpackConfig", "roadsense.cli:unpack", "check and unpack foreign scenarios", "data"
    ),
    "train": Command(
        "roadsense.training.train_config:TrainConfig", "roadsense.train_convoy:train_and_print",
        "train a policy on a dataset", "train",
    ),
    "search": Command(
        "roadsense.training.search:SearchConfig", "roadsense.training.search:search_and_print",
        "search for settings that train better policies", "train",
    ),
    "watch": Command(
        "roadsense.runs.watch:WatchConfig", "roadsense.runs.watch:watch", "follow a training from any terminal", "train"
    ),
    "runs": Command(
        "roadsense.training.lineage:RunsConfig", "roadsense.training.lineage:show_runs",
        "list runs and their state; lineage RUN, reproduce RUN", "train",
    ),
    "evaluate": Command(
        "roadsense.evaluation.config:EvalConfig", "roadsense.evaluate:evaluate_and_print",
        "evaluate a policy on held-out scenarios, beside baselines", "judge",
    ),
    "enjoy": Command(
        "roadsense.evaluation.enjoy:EnjoyConfig", "roadsense.evaluation.enjoy:enjoy_and_print",
        "watch a policy drive: SUMO's window, a video or the player", "judge",
    ),
    "benchmark": Command(
        "roadsense.evaluation.benchmark:BenchmarkConfig", "roadsense.evaluation.benchmark:benchmark_and_print",
        "drive the frozen set of episodes, for docs/reference/leaderboard.md", "judge",
    ),
    "replay": Command(
        "roadsense.evaluation.replay:ReplayConfig", "roadsense.evaluation.replay:replay_and_print",
        "drive an episode of an evaluation again, exactly", "judge",
    ),
    "repeat": Command(
        "roadsense.evaluation.replay:ReplayConfig", "roadsense.evaluation.replay:replay_and_print",
        "the same as replay", "judge",
    ),
    "compare": Command(
        "roadsense.evaluation.compare_runs:CompareConfig", "roadsense.evaluation.compare_runs:compare_and_print",
        "compare two evaluated runs on the same episodes", "judge",
    ),
    "tune-baselines": Command(
        "roadsense.evaluation.tune_baselines:TuneConfig", "roadsense.evaluation.tune_baselines:tune_and_print",
        "search for the baselines' best settings on train scenarios", "judge",
    ),
    "export": Command(
        "roadsense.exporting.config:ExportConfig", "roadsense.export:export_and_print",
        "convert a policy to TFLite and C headers, and compare it with the original", "ship",
    ),
    "fit-channel": Command(
        "roadsense.envs.radio.fit:FitConfig", "roadsense.envs.radio.fit:fit_and_print",
        "fit a radio to a log of your own hardware's messages", "drives",
    ),
    "drive": Command(
        "", "roadsense.drives.cli:main", "recorded drives: judge, compare, base, hazards, simulate", "drives"
    ),
    "job": Command("", "roadsense.jobs.cli:main", "run a notebook as a job: here, in the image, or on AWS", "cloud"),
    "workstation": Command(
        "roadsense.jobs.aws.ec2.workstation:WorkstationConfig", "roadsense.jobs.aws.ec2.workstation:run_workstation",
        "start a machine on EC2 to work on, with a training in tmux", "cloud",
    ),
}  # fmt: skip
"""All commands, by name."""


@dataclass(frozen=True)
class InitConfig:
    """Settings of `roadsense init`.

    Attributes:
        folder: new folder of the project.
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]


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
class UnpackConfig:
    """Settings of `roadsense unpack`.

    Attributes:
        archive: a `.zip` or `.tar.gz` of scenarios.
        folder: new folder for the scenarios.
    """

    archive: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="ARCHIVE")]
    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]


@dataclass(frozen=True)
class CompletionConfig:
    """Settings of `roadsense completion`.

    Attributes:
        shell: the shell; its line for the start file is in `docs/how-to/installation.md`.
    """

    shell: Annotated[Literal["bash", "zsh", "tcsh"], tyro.conf.Positional, tyro.conf.arg(metavar="bash|zsh|tcsh")]


@dataclass(frozen=True)
class NoConfig:
    """Stands for a command with commands of its own."""


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


def list_commands() -> str:
    """Returns the text that lists all commands in their groups."""
    lines = ["usage: roadsense COMMAND [options]; COMMAND --help lists its options"]
    for group, example in GROUPS.items():
        lines += ["", f"{group}: {example}"]
        lines += [f"  {name:15}{command.summary}" for name, command in COMMANDS.items() if command.group == group]
    return "\n".join([*lines, "", "  --version      version of the package", ""])


def make_project(config: InitConfig) -> None:
    """Makes a folder for a new project: notebooks, base scenarios, ranges, a job and a Makefile.

    Raises:
        InputError: if the folder holds something already.
    """
    refuse_existing(config.folder, "the project", InputError)
    shutil.copytree(
        project_folder(), config.folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_*")
    )
    sys.stdout.write(
        f"{config.folder}: a new project. In it, `make demo` does all of it small, and `make` lists the steps.\n"
    )


def unpack(config: UnpackConfig) -> None:
    """Checks all scenarios in an archive and unpacks them; if one is not safe, nothing is unpacked."""
    from roadsense.scenarios.archives import unpack_scenarios

    paths = unpack_scenarios(config.archive, config.folder)
    sys.stdout.write(f"{config.folder}: {len(paths)} scenarios unpacked, all of them safe to open.\n")


def _run_with_parameters(words: Sequence[str]) -> None:
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


if __name__ == "__main__":
    sys.exit(main())
