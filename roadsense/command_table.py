"""The commands of the program `roadsense`: one table, in groups, and the text that lists them."""

from typing import NamedTuple

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
        "roadsense.new_project:InitConfig", "roadsense.new_project:make_and_print", "make a folder for a new project",
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
        "roadsense.completion:CompletionConfig", "roadsense.completion:print_completion",
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
        "roadsense.cli:VerifyConfig", "roadsense.cli:verify", "compare a dataset with its manifest", "data"
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
        "roadsense.cli:RunsConfig", "roadsense.cli:show_runs",
        "list runs and their state; lineage RUN, reproduce RUN", "train",
    ),
    "evaluate": Command(
        "roadsense.evaluation.config:EvalConfig", "roadsense.evaluate:evaluate_and_print",
        "evaluate a policy on held-out scenarios, beside baselines", "judge",
    ),
    "enjoy": Command(
        "roadsense.enjoy:EnjoyConfig", "roadsense.enjoy:enjoy_and_print",
        "watch a policy drive: SUMO's window, a video or the player", "judge",
    ),
    "benchmark": Command(
        "roadsense.benchmark:BenchmarkConfig", "roadsense.benchmark:benchmark_and_print",
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


def list_commands() -> str:
    """Returns the text that lists all commands in their groups."""
    lines = ["usage: roadsense COMMAND [options]; COMMAND --help lists its options"]
    for group, example in GROUPS.items():
        lines += ["", f"{group}: {example}"]
        lines += [f"  {name:15}{command.summary}" for name, command in COMMANDS.items() if command.group == group]
    return "\n".join([*lines, "", "  --version      version of the package", ""])
