"""The command `roadsense job generate`: a large dataset, proven on several machines of SageMaker at once.

Without `--submit` it only shows what would be sent, what it costs at most and how long it may take.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from roadsense.augment.config import GenConfig
from roadsense.errors import InputError
from roadsense.jobs.generation import publish_inputs
from roadsense.jobs.processing_plan import ProcessingPlan, plan_generation
from roadsense.jobs.processing_request import PROCESSING
from roadsense.jobs.records import GENERATION, write_record
from roadsense.jobs.sagemaker_request import DEFAULT_DISK_GB
from roadsense.jobs.sagemaker_send import send
from roadsense.jobs.spec import INSTANCE_TYPES, JobSpec, name_job
from roadsense.utils.command import run_command

NOTEBOOK = "00_augment"
"""The notebook of the same settings."""
Pairs = tyro.conf.UseAppendAction[list[tuple[str, str]]]


@dataclass(frozen=True)
class GenerateConfig:
    """Settings of `roadsense job generate`: those of `gen-scenarios`, `n_shards` being the machines, and the job's own.

    Attributes:
        generation: of the dataset. `output_dir` says nothing here: `job fetch` makes the dataset where it is told.
        name: of the job, beginning with `roadsense-`; by default made of the time.
        image: URI of one in ECR, with its tag or digest.
        instance_type: the machines.
        output: `s3://bucket/prefix`.
        max_hours: the job is ended after this, hours.
        max_usd: a limit of what all machines cost, US dollars; `max_hours` is cut to what it pays for.
        disk_gb: size of each machine's disk, GB.
        region: of AWS; by default the configured one.
        role: execution role's ARN; by default the environment's or Studio's.
        tags: a tag's name and its value, as often as needed.
        submit: start it; without, only show it.
    """

    generation: tyro.conf.OmitArgPrefixes[GenConfig] = field(default_factory=GenConfig)
    name: str | None = None
    image: str | None = None
    instance_type: str = INSTANCE_TYPES["sagemaker"]
    output: str = "s3://"
    max_hours: float = 4.0
    max_usd: float | None = None
    disk_gb: int = DEFAULT_DISK_GB
    region: str | None = None
    role: str | None = None
    tags: Annotated[Pairs, tyro.conf.arg(name="tag", aliases=["-t"])] = field(default_factory=list)
    submit: bool = False

    def __post_init__(self) -> None:
        if self.generation.shard or self.generation.shards:
            raise InputError("Expected no shard and no shards: each machine finds its own, and `job fetch` takes all.")
        config = self.generation
        n_scenarios = config.n_train + config.n_eval + config.n_eval_wide
        if config.n_shards > n_scenarios:
            raise InputError(f"Expected n_shards of at most {n_scenarios}, a scenario each, got {config.n_shards}.")

    def spec(self) -> JobSpec:
        """Returns the job with its name, its machine and its limits."""
        return JobSpec(
            NOTEBOOK,
            target="sagemaker",
            name=self.name or name_job("generate"),
            image=self.image,
            instance_type=self.instance_type,
            output=self.output,
            max_hours=self.max_hours,
            max_usd=self.max_usd,
            region=self.region,
            role=self.role,
            tags=dict(self.tags),
        )


def start_generation(plan: ProcessingPlan) -> str:
    """Starts a generation, its base scenarios sent before if S3 lacks them, remembers it and returns its name.

    Raises:
        CloudError: if AWS refuses it.
    """
    name, region = plan.spec.name or "", plan.spec.region
    publish_inputs(plan.config, plan.spec.output, region)
    send(PROCESSING, plan.request, region)
    write_record(plan.spec, name, GENERATION)
    return name


def main(arguments: Sequence[str]) -> int:
    """Runs `roadsense job generate`; returns its exit code."""
    return run_command(
        lambda: _generate(tyro.cli(GenerateConfig, args=arguments, prog="roadsense job generate", description=__doc__))
    )


def _generate(config: GenerateConfig) -> None:
    plan = plan_generation(config.spec(), config.generation, config.disk_gb, ask=config.submit)
    for line in (str(plan.estimate or "price unknown"), plan.tell_time(), *_warn(config.generation)):
        sys.stderr.write(f"{line}\n")
    if not config.submit:
        sys.stdout.write(json.dumps(plan.describe(), indent=2) + "\n")
        sys.stderr.write("Nothing was sent. With --submit it is.\n")
        return
    name = start_generation(plan)
    sys.stderr.write(
        f"Submitted. Follow it: roadsense job logs {name} --follow. Then: roadsense job fetch {name} "
        "--folder scenarios/NAME, and roadsense job publish scenarios/NAME S3_URL.\n"
    )
    sys.stdout.write(f"{name}\n")


def _warn(config: GenConfig) -> list[str]:
    """Returns what to think of before: the limit of refused draws is one number, however many draws there are."""
    n_scenarios = config.n_train + config.n_eval + config.n_eval_wide
    if config.max_refusals_per_base >= n_scenarios / 20:
        return []
    return [
        f"note: with more than {config.max_refusals_per_base} refused draws of one base the whole is given up; of "
        f"{n_scenarios} scenarios some hundreds may be refused. Consider --max_refusals_per_base."
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
