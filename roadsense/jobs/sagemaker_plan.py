"""What a job on SageMaker is going to be: its request, its role and its price, before anything is sent."""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roadsense.cloud.session import find_region
from roadsense.cloud.storage import find_dataset_url
from roadsense.jobs.cost import Estimate, estimate_cost, limit_to_money
from roadsense.jobs.sagemaker_place import find_execution_role
from roadsense.jobs.sagemaker_request import DEFAULT_DISK_GB, Placement, build_training_request, check_limits
from roadsense.jobs.sagemaker_send import check_request
from roadsense.jobs.sagemaker_tuning import TuningConfig, build_tuning_request, take_seeds
from roadsense.jobs.spec import JobSpec, check_spec, make_tags
from roadsense.training.search_space import SearchSpace
from roadsense.utils.git_state import read_git_state

TRAINING, TUNING = "CreateTrainingJob", "CreateHyperParameterTuningJob"


@dataclass(frozen=True)
class SageMakerPlan:
    """A job that is about to be sent.

    Attributes:
        spec: complete, its dataset an S3 URL, its hours limited to its money.
        operation: name of the call.
        request: what is sent.
        estimate: what it costs at most; None if no price is known.
        local_dataset: folder to be published before, or None.
        scope: of a tuning job, how many trainings of which length that is, in words.
    """

    spec: JobSpec
    operation: str
    request: dict[str, Any]
    estimate: Estimate | None
    local_dataset: str | None
    scope: str = ""

    def tell_budget(self) -> str:
        """Returns what it costs at most and how long that takes, in words."""
        return "; ".join(part for part in (str(self.estimate or "price unknown"), self.scope) if part)

    def describe(self) -> dict[str, Any]:
        """Returns every request in its order."""
        calls: list[dict[str, Any]] = []
        if self.local_dataset:
            calls.append({"service": "s3", "operation": "PutObject", "what": f"{self.spec.dataset}/, what it lacks"})
        calls.append({"service": "sagemaker", "operation": self.operation, "request": self.request})
        return {
            "region": find_region(self.spec.region),
            "estimate": self.tell_budget(),
            "calls": calls,
        }


def plan_training(spec: JobSpec, ask: bool = False) -> SageMakerPlan:
    """Plans a training job. Nothing is sent; AWS is asked for a role that isn't known, and with `ask` for prices.

    Raises:
        InputError: if something of it cannot be sent, or its limits of time and money don't go together.
    """
    spec, estimate, local = _complete(spec, ask)
    request = build_training_request(spec, _place(spec, spec.max_hours))
    check_limits(request)
    check_request(TRAINING, request)
    return SageMakerPlan(spec, TRAINING, request, estimate, local)


def plan_tuning(
    spec: JobSpec, config: TuningConfig, space: SearchSpace | None = None, ask: bool = False
) -> SageMakerPlan:
    """Plans a tuning job; `max_hours` is the limit of one training, `max_usd` that of all.

    A trial with several seeds trains them one after the other, and may take as many times as long.

    Raises:
        InputError: if something of it cannot be sent, or its limits of time and money don't go together.
    """
    spec, config = take_seeds(spec, config)
    share_usd = None if spec.max_usd is None else spec.max_usd / config.n_trials
    one = replace(spec, max_usd=share_usd, max_hours=spec.max_hours * max(len(config.seeds), 1))
    one, estimate, local = _complete(one, ask)
    if estimate is not None:
        estimate = replace(estimate, hours=estimate.hours * config.n_trials, usd=estimate.usd * config.n_trials)
    hours = math.ceil(config.n_trials / config.n_parallel) * one.max_hours
    request = build_tuning_request(one, config, _place(one, hours), space)
    check_request(TUNING, request)
    scope = _tell_scope(config, one.max_hours, hours)
    return SageMakerPlan(replace(one, max_usd=spec.max_usd), TUNING, request, estimate, local, scope)


def _tell_scope(config: TuningConfig, trial_hours: float, hours: float) -> str:
    """Returns how much work a search is at most, in words."""
    seeds = f" of {len(config.seeds)} seeds each are {config.n_trainings} trainings" if config.seeds else ""
    return (
        f"{config.n_trials} trials{seeds}, at most {trial_hours:.3g} h a trial; "
        f"{config.n_parallel} at a time, at most {hours:.3g} h by the clock"
    )


def _complete(spec: JobSpec, ask: bool) -> tuple[JobSpec, Estimate | None, str | None]:
    """Returns a spec with everything filled in, what it costs at most, and the folder that must be published for it."""
    if spec.name is None or spec.instance_type is None:
        spec = check_spec(spec)
    local = spec.dataset if spec.dataset and not spec.dataset.startswith("s3://") else None
    estimate = estimate_cost(spec, DEFAULT_DISK_GB, ask)
    spec = replace(limit_to_money(spec, estimate), dataset=find_dataset_url(spec.dataset, spec.output) or None)
    if estimate is not None:
        estimate = replace(estimate, hours=spec.max_hours, usd=estimate.usd_per_hour * spec.max_hours)
    return spec, estimate, local


def _place(spec: JobSpec, hours: float) -> Placement:
    """Returns what a job of at most so many hours needs beside its spec."""
    git = read_git_state()
    digest = (spec.dataset or "").rstrip("/").rsplit("/", 1)[-1]
    facts = {"dataset_digest": digest, "git_commit": git.commit, "git_clean": git.clean_word}
    deadline = datetime.now(UTC) + timedelta(hours=hours)
    tags = make_tags(spec, deadline, facts)
    told = {"dataset_url": spec.dataset or "", "image": spec.image or "", **facts}
    return Placement(role=find_execution_role(spec.role, spec.region), tags=tags, facts=told)
