"""The command `roadsense job tune`: starts, looks at and ends a tuning job on SageMaker, and judges its best trial."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.errors import InputError
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_plan import plan_tuning
from roadsense.jobs.sagemaker_trials import Trial, find_best, read_trials, read_tuning, stop_tuning
from roadsense.jobs.sagemaker_tuning import TuningConfig, name_tuning
from roadsense.jobs.spec import check_spec, spec_from_json
from roadsense.jobs.target import JobError
from roadsense.runs.experiment import find_best_folder
from roadsense.utils.command import run_command
from roadsense.utils.files import write_atomically

TABLE_NAME, PICTURE_NAME = "trials.csv", "trials.png"


@dataclass(frozen=True)
class TuneConfig(TuningConfig):
    """Settings of `roadsense job tune`; one of `spec` and `job` is given.

    Attributes:
        spec: JSON file of the training that each trial makes (see `JobSpec`), to start a tuning job.
        job: name of a tuning job, to list its trials, the best first.
        json: with `job`: list them as JSON, one object a line.
        output_dir: with `job`: folder for the trials as a table (`trials.csv`) and as figures (`trials.png`).
        fetch_best: with `job`: new folder for the results of the best trial, checked.
        eval_dir: with `fetch_best`: held-out scenarios on which its policy is judged here, as by `roadsense evaluate`.
        beside: other runs that drive the same episodes: one with the default settings, trained here, say.
        evaluation: a further setting of `roadsense evaluate` and its value, as often as needed.
        stop: with `job`: end it.
        dry_run: with `spec`: only print the exact request and what it may cost.
        region: of AWS; by default the configured one.
    """

    spec: Path | None = None
    job: str | None = None
    json: bool = False
    output_dir: Path | None = None
    fetch_best: Path | None = None
    eval_dir: str | None = None
    beside: tuple[str, ...] = ()
    evaluation: Annotated[tyro.conf.UseAppendAction[list[tuple[str, str]]], tyro.conf.arg(name="e", aliases=["-e"])] = (
        field(default_factory=list)
    )
    stop: bool = False
    dry_run: bool = False
    region: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.spec is None) == (self.job is None):
            raise InputError("Expected one of --spec, to start a tuning job, and --job, to look at one.")
        if self.eval_dir and not self.fetch_best:
            raise InputError("Expected --fetch_best with --eval_dir: a policy is judged from its files.")
        if (self.beside or self.evaluation) and not self.eval_dir:
            raise InputError("Expected --eval_dir, the scenarios to judge on, with --beside and -e.")

    def tuning(self) -> TuningConfig:
        """Returns the settings of the search alone."""
        return TuningConfig(**{each.name: getattr(self, each.name) for each in fields(TuningConfig)})


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job tune`; returns its exit code."""
    return run_command(
        lambda: _tune(tyro.cli(TuneConfig, args=arguments, prog="roadsense job tune", description=__doc__))
    )


def _tune(config: TuneConfig) -> None:
    if config.spec is not None:
        _start(config, config.spec)
    elif config.job is not None:
        _look(config, config.job)


def _start(config: TuneConfig, path: Path) -> None:
    spec = spec_from_json(path)
    spec = check_spec(replace(spec, name=spec.name or name_tuning()))
    if config.dry_run:
        sys.stdout.write(json.dumps(plan_tuning(spec, config.tuning()).describe(), indent=2) + "\n")
        return
    sys.stdout.write(SageMakerTarget(config.region).submit_tuning(spec, config.tuning()) + "\n")


def _look(config: TuneConfig, job: str) -> None:
    if config.stop:
        stop_tuning(job, config.region)
    trials, tuning = read_trials(job, config.region), read_tuning(job, config.region)
    _list(config, trials, tuning["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"])
    sys.stderr.write(f"{job}: {tuning['HyperParameterTuningJobStatus']}\n")
    if config.fetch_best is not None:
        best = find_best(job, config.region)
        fetched = SageMakerTarget(config.region).fetch(best.job, config.fetch_best)
        run_dir = find_best_folder(fetched / "model")
        sys.stdout.write(f"{run_dir}\n")
        sys.stdout.flush()
        if config.eval_dir is not None:
            judge(run_dir, config)


def _list(config: TuneConfig, trials: Sequence[Trial], objective: str) -> None:
    if config.json:
        sys.stdout.write("".join(json.dumps(trial.as_row()) + "\n" for trial in trials))
    if not trials or (config.json and config.output_dir is None):
        return
    from roadsense.jobs.trial_plots import plot_trials, tabulate_trials  # a second, for pandas and matplotlib

    table = tabulate_trials(trials).rename(columns={"score": objective})
    if not config.json:
        sys.stdout.write(table.to_string(index=False, float_format=lambda value: f"{value:.4g}", na_rep="") + "\n")
    if config.output_dir is not None:
        config.output_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(config.output_dir / TABLE_NAME, table.to_csv(index=False))
        plot_trials(trials, objective).savefig(config.output_dir / PICTURE_NAME, dpi=150)
        sys.stderr.write(f"{config.output_dir / TABLE_NAME}, {config.output_dir / PICTURE_NAME}\n")


def judge(run_dir: Path, config: TuneConfig) -> None:
    """Judges a fetched run here by the full protocol, beside the other runs; prints what came of it.

    It is a process of its own: nothing that judges is loaded to look at jobs.

    Raises:
        JobError: if it failed; it has said why.
    """
    command = [sys.executable, "-m", "roadsense.evaluate", f"--run_dir={run_dir}", f"--dataset_dir={config.eval_dir}"]
    command += [f"--{name}={value}" for name, value in config.evaluation]
    command += ["--beside", *config.beside] if config.beside else []
    if not config.beside:
        sys.stderr.write("No run was named to compare with: train the default here, and give its folder by --beside.\n")
    if subprocess.run(command, check=False).returncode:
        raise JobError(f"{run_dir} could not be judged on {config.eval_dir}; see above.")
