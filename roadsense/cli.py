"""The program `roadsense`: one subcommand per kind of work, each built from its configuration class.

A subcommand's module is imported when it is called: nothing that trains is loaded to make a dataset.
"""

import importlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.errors import InputError
from roadsense.utils.command import run_command


@dataclass(frozen=True)
class RunConfig:
    """Settings of `roadsense run`.

    Attributes:
        notebook: the notebook to run.
        output: where the executed copy goes; by default into `runs/notebooks`.
        parameters: a parameter's name and its value, as often as needed.
    """

    notebook: tyro.conf.Positional[Path]
    output: Path | None = None
    parameters: Annotated[tyro.conf.UseAppendAction[list[tuple[str, str]]], tyro.conf.arg(name="p", aliases=["-p"])] = (
        field(default_factory=list)
    )


@dataclass(frozen=True)
class VerifyConfig:
    """Settings of `roadsense verify`.

    Attributes:
        dataset: folder of the dataset.
        rebuild: whether to make it again from its base scenarios and compare byte by byte, too.
        base_dir: folder of the base scenarios, for that.
    """

    dataset: tyro.conf.Positional[Path]
    rebuild: bool = False
    base_dir: Path = Path("scenarios/base")


@dataclass(frozen=True)
class UnpackConfig:
    """Settings of `roadsense unpack`.

    Attributes:
        archive: a `.zip` or `.tar.gz` of scenarios, from anywhere.
        folder: where they go; it must not be there yet.
    """

    archive: tyro.conf.Positional[Path]
    folder: tyro.conf.Positional[Path]


COMMANDS: dict[str, tuple[str, str]] = {
    "gen-scenarios": ("roadsense.gen_scenarios:main", "augment base scenarios to a proven dataset"),
    "verify": ("roadsense.cli:verify", "check a dataset against its manifest"),
    "unpack": ("roadsense.cli:unpack", "check someone else's scenarios and unpack them"),
    "train": ("roadsense.train_convoy:main", "train a policy on a dataset"),
    "search": ("roadsense.training.search:main", "search for settings that train better policies"),
    "evaluate": ("roadsense.evaluate:main", "judge a policy on held-out scenarios, beside baselines"),
    "repeat": ("roadsense.evaluation.repeat:main", "repeat an episode of an evaluation exactly"),
    "compare": ("roadsense.evaluation.compare_runs:main", "two evaluated runs side by side, on the same episodes"),
    "tune-baselines": (
        "roadsense.evaluation.tune_baselines:main",
        "search for the baselines' best settings on train scenarios",
    ),
    "export": ("roadsense.export:main", "turn a policy into TFLite and prove it equal"),
    "fit-channel": ("roadsense.envs.radio.fit:main", "fit a radio to a log of your own hardware's messages"),
    "run": ("roadsense.cli:run", "run a notebook with parameters, keep the executed copy"),
    "job": ("roadsense.jobs.commands:main", "run a notebook as a job: here, in the image, or on AWS"),
    "runs": ("roadsense.cli:runs", "list runs and what they are doing; lineage RUN, reproduce RUN"),
    "watch": ("roadsense.runs.watch:main", "follow a training from any terminal until it ends"),
    "doctor": ("roadsense.doctor:main", "check the installation and say what is missing"),
    "workstation": ("roadsense.jobs.workstation:main", "start a machine on EC2 to work on, with a training in tmux"),
    "demo": ("roadsense.cli:demo", "the whole way once, small, in about 10 minutes"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the program; returns its exit code: 0 done, 1 failed, 2 wrong input."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = words[0].replace("_", "-") if words else "--help"
    if name in ("-h", "--help"):
        sys.stdout.write(_usage())
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"error: Expected a command of {sorted(COMMANDS)}, got {words[0]!r}.\n")
        return InputError.exit_code
    module, function = COMMANDS[name][0].split(":")
    command: Callable[[Sequence[str]], int] = getattr(importlib.import_module(module), function)
    return command(words[1:])


def verify(arguments: Sequence[str]) -> int:
    """Runs `roadsense verify DATASET [--rebuild]`: says in what a dataset differs from its manifest."""
    return run_command(lambda: _verify(tyro.cli(VerifyConfig, args=arguments, prog="roadsense verify")))


def unpack(arguments: Sequence[str]) -> int:
    """Runs `roadsense unpack ARCHIVE FOLDER`: nothing is unpacked of an archive that is not safe."""
    return run_command(lambda: _unpack(tyro.cli(UnpackConfig, args=arguments, prog="roadsense unpack")))


def run(arguments: Sequence[str]) -> int:
    """Runs `roadsense run NOTEBOOK -p NAME VALUE ...`."""
    return run_command(lambda: _run(tyro.cli(RunConfig, args=arguments, prog="roadsense run")))


def runs(arguments: Sequence[str]) -> int:
    """Runs `roadsense runs [FOLDER]`, which lists the runs below a folder, or `roadsense runs lineage|reproduce RUN`.

    `lineage` prints where a run's policy comes from, `reproduce` the commands that make it again.
    """
    if arguments and arguments[0] in ("lineage", "reproduce"):
        return run_command(lambda: _trace(*arguments))
    return run_command(lambda: _list_runs(arguments[0] if arguments else "runs"))


def demo(arguments: Sequence[str]) -> int:
    """Runs `roadsense demo`."""
    from roadsense.demo import DemoConfig, run_demo

    return run_command(lambda: run_demo(tyro.cli(DemoConfig, args=arguments, prog="roadsense demo")))


def _usage() -> str:
    lines = [f"  {name:15}{what}" for name, (_, what) in COMMANDS.items()]
    return "\n".join(["usage: roadsense COMMAND [options]; COMMAND --help lists its options", "", *lines, ""])


def _verify(config: VerifyConfig) -> None:
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


def _unpack(config: UnpackConfig) -> None:
    from roadsense.scenarios.archives import unpack_scenarios

    paths = unpack_scenarios(config.archive, config.folder)
    sys.stdout.write(f"{config.folder}: {len(paths)} scenarios unpacked, all of them safe to open.\n")


def _run(config: RunConfig) -> None:
    from roadsense.jobs.parameters import decode_parameters
    from roadsense.jobs.runner import run_notebook

    output = config.output or Path("runs") / "notebooks" / config.notebook.name
    executed = run_notebook(config.notebook, output, decode_parameters(config.notebook, dict(config.parameters)))
    sys.stdout.write(f"Executed notebook: {executed}\n")


def _trace(question: str, *folders: str) -> None:
    from roadsense.runs.run import open_run
    from roadsense.training.lineage import list_commands, trace_lineage

    if len(folders) != 1:
        raise InputError(f"Expected the folder of one run behind {question}, got {len(folders)}.")
    run = open_run(folders[0], trained=False)
    lines = (
        [f"{link:10}{what}" for link, what in trace_lineage(run).items()]
        if question == "lineage"
        else list_commands(run)
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _list_runs(folder: str) -> None:
    from roadsense.runs.run import find_runs

    for found in find_runs(folder):
        state, wanted = found.read_state(), found.read_config().get("total_timesteps")
        why = f"  ({state.reason})" if state.reason else ""
        sys.stdout.write(f"{found.folder}  {state.name}  {found.count_timesteps()} of {wanted} steps{why}\n")


if __name__ == "__main__":
    sys.exit(main())
