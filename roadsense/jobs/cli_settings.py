"""The settings of the commands `roadsense job ...`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.jobs.spec import JobSpec


@dataclass(frozen=True)
class SubmitConfig:
    """Settings of `roadsense job submit JOB`. JOB is a notebook, or a `.json` file of a spec; the options change it.

    Each `-p NAME VALUE` sets a parameter of the notebook, each `-t NAME VALUE` a tag.

    Attributes:
        spec: the job's fields.
        dry_run: start nothing; print the exact requests as one JSON object.
        yes: start it without asking.
        follow: show the job's log until the job is over.
        resumes: with `follow`: how often to start the job again after EC2 took its spot machine away; each start
            may cost `max_usd`.
    """

    spec: Annotated[JobSpec, tyro.conf.arg(name="")]
    dry_run: bool = False
    yes: bool = False
    follow: bool = False
    resumes: int = 0


@dataclass(frozen=True)
class JobConfig:
    """Settings of the commands that look at one job.

    Attributes:
        job: name of the job, or its id at its target.
        target: target the job runs on; needed for a job that was not submitted from this folder.
        region: AWS region; by default the one the job was submitted to.
    """

    job: tyro.conf.Positional[str]
    target: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class LogsConfig(JobConfig):
    """Settings of `roadsense job logs`.

    Attributes:
        follow: whether to continue until the job is over; the exit code is then 1 if it failed.
        resumes: with `follow`: how often to start the job again after EC2 took its spot machine away; each start
            may cost `max_usd`.
    """

    follow: bool = False
    resumes: int = 0


@dataclass(frozen=True)
class MetricsConfig(JobConfig):
    """Settings of `roadsense job metrics`.

    Attributes:
        plot: file for the curves, `.png` or `.svg`.
        csv: file for all figures, one row for each time.
    """

    plot: Path | None = None
    csv: Path | None = None


@dataclass(frozen=True)
class TrialsConfig(JobConfig):
    """Settings of `roadsense job trials`.

    Attributes:
        json: print one JSON object on each line.
        output_dir: folder for the trials as a table (`trials.csv`) and as a figure (`trials.png`).
    """

    json: bool = False
    output_dir: Path | None = None


@dataclass(frozen=True)
class StopConfig(JobConfig):
    """Settings of `roadsense job stop`.

    Attributes:
        wait: whether to wait until the job has stopped.
    """

    wait: bool = False


@dataclass(frozen=True)
class ResumeConfig(JobConfig):
    """Settings of `roadsense job resume`.

    Attributes:
        yes: start it without asking.
    """

    yes: bool = False


@dataclass(frozen=True)
class FetchConfig(JobConfig):
    """Settings of `roadsense job fetch`.

    Attributes:
        folder: new folder for the results; by default `runs/<name>`.
    """

    folder: Path | None = None


@dataclass(frozen=True)
class PublishConfig:
    """Settings of `roadsense job publish`.

    Attributes:
        dataset: folder of the dataset.
        url: `s3://bucket/prefix`; the dataset is uploaded to `datasets/<digest>` below it.
        region: AWS region; by default the configured one.
    """

    dataset: tyro.conf.Positional[Path]
    url: tyro.conf.Positional[str]
    region: str | None = None


@dataclass(frozen=True)
class ListConfig:
    """Settings of `roadsense job list`.

    Attributes:
        everyone: show everything that still costs money, on every target, in every region, from all users.
        target: the only target to list.
        region: AWS region; by default the configured one.
        json: print a JSON list.
    """

    everyone: Annotated[bool, tyro.conf.arg(name="all")] = False
    target: str | None = None
    region: str | None = None
    json: bool = False
