"""The command `roadsense job tune`: starts, looks at and ends a tuning job on SageMaker."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import tyro

from roadsense.command import run_command
from roadsense.errors import InputError
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_plan import plan_tuning
from roadsense.jobs.sagemaker_trials import find_best, read_trials, read_tuning, stop_tuning
from roadsense.jobs.sagemaker_tuning import TuningConfig, name_tuning
from roadsense.jobs.spec import check_spec, spec_from_json


@dataclass(frozen=True)
class TuneConfig(TuningConfig):
    """Settings of `roadsense job tune`; one of `spec` and `job` is given.

    Attributes:
        spec: JSON file of the training that each trial makes (see `JobSpec`), to start a tuning job.
        job: name of a tuning job, to list its trials, the best first.
        fetch_best: with `job`: new folder for the results of the best trial.
        stop: with `job`: end it.
        dry_run: with `spec`: only print the exact request and what it may cost.
        region: of AWS; by default the configured one.
    """

    spec: Path | None = None
    job: str | None = None
    fetch_best: Path | None = None
    stop: bool = False
    dry_run: bool = False
    region: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.spec is None) == (self.job is None):
            raise InputError("Expected one of --spec, to start a tuning job, and --job, to look at one.")

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
    for trial in read_trials(job, config.region):
        sys.stdout.write(json.dumps(trial.as_row()) + "\n")
    sys.stderr.write(f"{job}: {read_tuning(job, config.region)['HyperParameterTuningJobStatus']}\n")
    if config.fetch_best is not None:
        best = find_best(job, config.region)
        folder = SageMakerTarget(config.region).fetch(best.job, config.fetch_best)
        sys.stdout.write(f"{folder}\n")
