"""The options of `roadsense job ...`, and the spec that those of `submit` become."""

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated

import tyro

from roadsense.jobs.parameters import decode_parameters
from roadsense.jobs.spec import JobSpec, spec_from_json
from roadsense.jobs.spec_checks import find_notebook

Pairs = tyro.conf.UseAppendAction[list[tuple[str, str]]]


@dataclass(frozen=True)
class SubmitConfig:
    """Settings of `roadsense job submit`. What is not given is taken from the spec's file, or is a job's default.

    Attributes:
        job: a notebook, by its path or its name in `notebooks`, or a `.json` file of a spec.
        parameters: a notebook parameter's name and its value, as often as needed.
        target: `local`, `docker`, `ec2` or `sagemaker`; by default `local`.
        name: of the job; by default made of the notebook's name and the time.
        image: tag of a Docker image, or URI of one in ECR.
        instance_type: the machine, in the cloud.
        dataset: folder of a whole dataset, or `s3://.../datasets/<digest>`.
        output: folder for the job's folder, or `s3://bucket/prefix`; by default `runs/jobs`.
        max_hours: the job is ended after this, hours; by default 12.
        max_usd: a limit of its cost, US dollars.
        spot: whether to take spare capacity, in the cloud.
        region: of AWS; by default the configured one.
        role: instance profile's name (EC2), or execution role's ARN (SageMaker).
        tags: a tag's name and its value, as often as needed.
        dry_run: start nothing; print one JSON object with the exact requests that would be made.
        follow: show the job's log until it is over.
    """

    job: tyro.conf.Positional[str]
    parameters: Annotated[Pairs, tyro.conf.arg(name="p", aliases=["-p"])] = field(default_factory=list)
    target: str | None = None
    name: str | None = None
    image: str | None = None
    instance_type: str | None = None
    dataset: str | None = None
    output: str | None = None
    max_hours: float | None = None
    max_usd: float | None = None
    spot: bool | None = None
    region: str | None = None
    role: str | None = None
    tags: Annotated[Pairs, tyro.conf.arg(name="tag", aliases=["-t"])] = field(default_factory=list)
    dry_run: bool = False
    follow: bool = False


@dataclass(frozen=True)
class JobConfig:
    """Settings of the commands that look at one job.

    Attributes:
        job: its name, or its id at its target.
        target: where it runs; needed for a job that was not submitted from this folder.
        region: of AWS; by default the one it was submitted to.
    """

    job: tyro.conf.Positional[str]
    target: str | None = None
    region: str | None = None


@dataclass(frozen=True)
class LogsConfig(JobConfig):
    """Settings of `roadsense job logs`.

    Attributes:
        follow: whether to go on until the job is over; the exit code is then 1 if it failed.
    """

    follow: bool = False


@dataclass(frozen=True)
class StopConfig(JobConfig):
    """Settings of `roadsense job stop`.

    Attributes:
        wait: whether to return when it has stopped, rather than when it was asked to.
    """

    wait: bool = False


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
        url: `s3://bucket/prefix`; it goes to `datasets/<digest>` below.
        region: of AWS; by default the configured one.
    """

    dataset: tyro.conf.Positional[Path]
    url: tyro.conf.Positional[str]
    region: str | None = None


@dataclass(frozen=True)
class ListConfig:
    """Settings of `roadsense job list`.

    Attributes:
        everyone: show everything of every target that still costs, whoever started it.
        target: only this one.
        region: of AWS; by default the configured one.
        json: print a JSON list.
    """

    everyone: Annotated[bool, tyro.conf.arg(name="all")] = False
    target: str | None = None
    region: str | None = None
    json: bool = False


def read_spec(config: SubmitConfig) -> JobSpec:
    """Returns the spec that options describe, not checked yet.

    Raises:
        InputError: if the spec's file, the notebook or an option cannot be used.
    """
    spec = spec_from_json(config.job) if Path(config.job).suffix == ".json" else JobSpec(config.job)
    given = {
        item.name: getattr(config, item.name)
        for item in fields(JobSpec)
        if item.name not in ("notebook", "parameters", "tags") and getattr(config, item.name) is not None
    }
    texts = dict(config.parameters)
    values = decode_parameters(find_notebook(spec.notebook), texts) if texts else {}
    return replace(spec, parameters={**spec.parameters, **values}, tags={**spec.tags, **dict(config.tags)}, **given)
