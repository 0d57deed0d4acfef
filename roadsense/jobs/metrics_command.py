"""The command `roadsense job metrics`: how a job's training goes, from its log, wherever it runs and while it runs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from roadsense.jobs.metric_series import MetricSeries, count_seeds, describe_latest, plot_series
from roadsense.jobs.records import JobRecord, find_record, read_submitted_spec
from roadsense.jobs.target import JobError, open_target
from roadsense.utils.command import run_command
from roadsense.utils.files import write_atomically


@dataclass(frozen=True)
class MetricsConfig:
    """Settings of `roadsense job metrics`.

    Attributes:
        job: its name or id.
        plot: file for the curves, `.png` or `.svg`.
        csv: file for all figures told, a row for each time.
        target: where it runs, if it was not submitted from here.
        region: of AWS; by default the configured one.
    """

    job: tyro.conf.Positional[str]
    plot: Path | None = None
    csv: Path | None = None
    target: str | None = None
    region: str | None = None


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job metrics`; returns its exit code."""
    return run_command(
        lambda: _show(tyro.cli(MetricsConfig, args=arguments, prog="roadsense job metrics", description=__doc__))
    )


def read_series(record: JobRecord) -> MetricSeries:
    """Returns the figures a job has told so far; those of SageMaker by the expressions of the job's own request."""
    if record.target == "sagemaker":
        from roadsense.jobs.sagemaker_metrics import fetch_series

        return fetch_series(record.job_id, record.region)
    series = MetricSeries(n_seeds=count_seeds(read_submitted_spec(record).parameters))
    return series.take_all(open_target(record.target, record.region).logs(record.job_id, follow=False))


def _show(config: MetricsConfig) -> None:
    series = read_series(find_record(config.job, config.target, config.region))
    said = describe_latest(series)
    if not said:
        raise JobError(f"{config.job} has told no figures yet.")
    sys.stdout.write(f"{said}\n")
    if config.csv is not None:
        write_atomically(config.csv, series.table().to_csv(index=False))
    if config.plot is not None:
        figure = plot_series(series)
        if figure is None:
            raise JobError(f"{config.job} has told too little yet for curves.")
        figure.savefig(config.plot, dpi=150)
