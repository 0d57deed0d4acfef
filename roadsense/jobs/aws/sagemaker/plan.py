"""Plans a job on SageMaker: its request, its role and its price."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from roadsense.cloud.session import find_region
from roadsense.cloud.storage import find_dataset_url
from roadsense.jobs.aws.prices import Estimate, estimate_cost, limit_to_money
from roadsense.jobs.aws.sagemaker.request import (
    DISK_GB,
    Placement,
    build_training_request,
    build_tuning_request,
    check_request,
)
from roadsense.jobs.aws.sagemaker.role import find_execution_role
from roadsense.jobs.spec import S3, JobSpec, check_spec
from roadsense.jobs.tags import make_tags
from roadsense.jobs.target import Plan
from roadsense.training.search_space import SearchSpace
from roadsense.utils.git_state import read_git_state

EXTRA_S = 300
"""Time beyond a job's limit that SageMaker may charge, seconds: image and data before, 120 s to stop and results after.

AWS charges from `TrainingStartTime`, before the downloads, to `TrainingEndTime`, after the upload. It states no bound.
"""


def plan_job(spec: JobSpec, ask: bool = False, space: SearchSpace | None = None) -> Plan:
    """Plans a training or a search. Starts nothing; asks AWS only for an unknown role and, with `ask`, for prices.

    In a search, `max_hours` limits one training, and `max_usd` all trials together. A trial with several seeds trains
    them one after the other, so its time limit grows with their number.

    Raises:
        InputError: if a part of the job cannot be sent, or its limits of time and money contradict each other.
    """
    if spec.name is None or spec.instance_type is None:
        spec = check_spec(spec)
    spec, search = replace(spec, region=find_region(spec.region)), spec.search
    one = replace(
        spec,
        max_usd=None if spec.max_usd is None else spec.max_usd / search.n_trials,
        max_hours=spec.max_hours * (max(len(search.seeds), 1) if search.is_search else 1),
    )
    extra_hours = EXTRA_S / 3600
    estimate = estimate_cost(one, DISK_GB, ask, extra_hours)
    one = replace(
        limit_to_money(one, estimate, extra_hours), dataset=find_dataset_url(spec.dataset, spec.output) or None
    )
    place = _place(one)
    request = build_tuning_request(one, place, space) if search.is_search else build_training_request(one, place)
    check_request(request.operation, request.content)
    local = spec.dataset if spec.dataset and not spec.dataset.startswith(S3) else ""
    calls: list[dict[str, Any]] = [{"service": "sagemaker", "operation": request.operation, "request": request.content}]
    if local:
        calls.insert(0, {"service": "s3", "operation": "PutObject", "what": f"{one.dataset}/, the files it lacks"})
    return Plan(
        spec=replace(spec, dataset=one.dataset),
        job_id=spec.name or "",
        calls=calls,
        price=_describe_price(one, estimate),
        request=request,
        local_dataset=local,
    )


def _describe_price(spec: JobSpec, estimate: Estimate | None) -> str:
    if estimate is None:
        return "price unknown"
    search, hours = spec.search, (spec.limit_s + EXTRA_S) / 3600
    whole = replace(estimate, hours=hours * search.n_trials, usd=estimate.usd_per_hour * hours * search.n_trials)
    return f"{whole}; {describe_scope(spec)}" if search.is_search else str(whole)


def describe_scope(spec: JobSpec) -> str:
    """Returns the largest amount of work of a search, in words; the spec's hours are those of one trial."""
    search, hours = spec.search, spec.limit_s / 3600
    seeds = f" of {len(search.seeds)} seeds each are {search.n_trainings} trainings" if search.seeds else ""
    return (
        f"{search.n_trials} trials{seeds}, at most {hours:.3g} h a trial; {search.n_parallel} at the same time, "
        f"at most {hours * math.ceil(search.n_trials / search.n_parallel):.3g} h in all"
    )


def _place(spec: JobSpec) -> Placement:
    rounds = math.ceil(spec.search.n_trials / spec.search.n_parallel)
    git = read_git_state()
    digest = (spec.dataset or "").rstrip("/").rsplit("/", 1)[-1]
    facts = {"dataset_digest": digest, "git_commit": git.commit, "git_clean": git.clean_word}
    deadline = datetime.now(UTC) + timedelta(seconds=spec.limit_s * rounds)
    tags = make_tags(spec.name or "", spec.tags, deadline, facts)
    recorded = {"dataset_url": spec.dataset or "", "image": spec.image or "", **facts}
    return Placement(role=find_execution_role(spec.role, spec.region), tags=tags, facts=recorded)
