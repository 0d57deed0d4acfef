"""What a generation on SageMaker is going to be: its request, its price and its time, before anything is sent."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roadsense.augment.config import GenConfig
from roadsense.cloud.session import find_region
from roadsense.jobs.cost import Estimate, count_cpus, estimate_cost, limit_to_money
from roadsense.jobs.generation import find_inputs_url, spell_settings
from roadsense.jobs.processing_request import PROCESSING, Generation, build_processing_request
from roadsense.jobs.sagemaker_place import find_execution_role
from roadsense.jobs.sagemaker_request import DEFAULT_DISK_GB, Placement
from roadsense.jobs.sagemaker_send import check_request
from roadsense.jobs.spec import JobSpec, make_tags
from roadsense.utils.git_state import read_git_state

CPU_S_PER_SCENARIO = 1.0
"""One draw written, proven and driven for its difficulty, on one core: 0.4 to 1 s on the bases of `scenarios/base`."""


@dataclass(frozen=True)
class ProcessingPlan:
    """A generation that is about to be sent.

    Attributes:
        spec: complete, its hours limited to its money.
        config: of the dataset.
        request: what is sent.
        estimate: what all machines cost at most; None if no price is known.
        inputs_url: where the base scenarios go to before.
    """

    spec: JobSpec
    config: GenConfig
    request: dict[str, Any]
    estimate: Estimate | None
    inputs_url: str

    def describe(self) -> dict[str, Any]:
        """Returns every request in its order, what they cost at most, and how long the proving may take."""
        sent = {"service": "s3", "operation": "PutObject", "what": f"{self.inputs_url}/, what it lacks"}
        return {
            "region": find_region(self.spec.region),
            "estimate": str(self.estimate or "price unknown"),
            "time": self.tell_time(),
            "calls": [sent, {"service": "sagemaker", "operation": PROCESSING, "request": self.request}],
        }

    def tell_time(self) -> str:
        """Returns in words how long the machines may work, as far as that can be known before."""
        config, machine = self.config, self.spec.instance_type or ""
        n_scenarios, n_cpus = config.n_train + config.n_eval + config.n_eval_wide, count_cpus(machine)
        if n_cpus is None:
            return f"unknown on {machine}; {n_scenarios} scenarios take about {CPU_S_PER_SCENARIO:g} s of a core each"
        work_s = n_scenarios * CPU_S_PER_SCENARIO / (config.n_shards * n_cpus)
        return (
            f"about {max(1, round(work_s / 60))} min for {n_scenarios} scenarios on {config.n_shards} x {n_cpus} cores "
            f"({CPU_S_PER_SCENARIO:g} s of a core each), and minutes to start"
        )


def plan_generation(
    spec: JobSpec, config: GenConfig, disk_gb: int = DEFAULT_DISK_GB, ask: bool = False
) -> ProcessingPlan:
    """Plans a generation. Nothing is sent; AWS is asked for a role that isn't known, and with `ask` for prices.

    Args:
        spec: with its name, its machine and limits; `max_usd` is that of all machines.
        config: of the dataset; its `n_shards` is the number of machines.
        disk_gb: size of each machine's disk, GB.
        ask: whether to ask AWS for prices.

    Raises:
        InputError: if something of it cannot be sent, or its limits of time and money don't go together.
    """
    one = replace(spec, max_usd=spec.max_usd / config.n_shards) if spec.max_usd is not None else spec
    estimate = estimate_cost(one, disk_gb, ask)
    one = limit_to_money(one, estimate)
    if estimate is not None:
        usd_per_hour = estimate.usd_per_hour * config.n_shards
        estimate = replace(estimate, usd_per_hour=usd_per_hour, hours=one.max_hours, usd=usd_per_hour * one.max_hours)
    inputs_url = find_inputs_url(config, spec.output)
    generation = Generation(spell_settings(config), inputs_url, config.n_shards)
    request = build_processing_request(one, _place(one, generation, disk_gb), generation)
    check_request(PROCESSING, request)
    return ProcessingPlan(replace(one, max_usd=spec.max_usd), config, request, estimate, inputs_url)


def _place(spec: JobSpec, generation: Generation, disk_gb: int) -> Placement:
    git = read_git_state()
    facts = {"git_commit": git.commit or "", "git_clean": git.clean_word}
    deadline = datetime.now(UTC) + timedelta(hours=spec.max_hours)
    tags = make_tags(spec, deadline, {**facts, "bases_digest": generation.digest})
    return Placement(find_execution_role(spec.role, spec.region), tags, disk_gb, facts=facts)
