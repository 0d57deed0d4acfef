"""Tuning jobs on SageMaker: up to 50 trainings that search the same space as a local search."""

import math
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.layout import NAME_VARIABLE, job_environment
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.sagemaker_request import (
    CHECKPOINT_DIR,
    METRICS,
    Placement,
    build_definition,
    check_limits,
    list_tags,
    name_facts,
)
from roadsense.jobs.spec import JobSpec
from roadsense.runs.experiment import MEAN_SCORE, WORST_SCORE
from roadsense.training.search_space import Choice, Range, SearchSpace

MAX_NAME = 32
MOST_JOBS = 50
STRATEGIES = ("Bayesian", "Random", "Hyperband")
OBJECTIVE = "eval_score"
OVER_SEEDS = (MEAN_SCORE, WORST_SCORE)
"""Objectives of trials that train several seeds: one value over all of them."""


@dataclass(frozen=True)
class TuningConfig:
    """Settings of a tuning job.

    Attributes:
        n_trials: sets of settings that are tried, at most 50.
        n_parallel: at a time.
        strategy: `Bayesian`, `Random` or `Hyperband`.
        objective: figure to be maximised, of those a job's output tells; by default the score on held-out scenarios,
            of trials with several seeds its mean over them (`experiment_score`).
        seeds: each trial trains its settings with all of these, and is judged by all of them; by default the one seed
            that the training has. It takes as many times as long, and costs as many times as much.
        early_stopping: whether SageMaker ends trials that fall behind; `Hyperband` has its own way.
        warm_start_from: name of an earlier tuning job whose trials are taken into account.
        seed: of the search; None lets SageMaker choose.
    """

    n_trials: int = 20
    n_parallel: int = 4
    strategy: str = "Bayesian"
    objective: str | None = None
    seeds: tuple[int, ...] = ()
    early_stopping: bool = True
    warm_start_from: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.n_trials <= MOST_JOBS:
            raise InputError(f"Expected n_trials of 1 to {MOST_JOBS}, got {self.n_trials}.")
        if not 1 <= self.n_parallel <= self.n_trials:
            raise InputError(f"Expected n_parallel of 1 to n_trials ({self.n_trials}), got {self.n_parallel}.")
        if self.strategy not in STRATEGIES:
            raise InputError(f"Expected strategy of {', '.join(STRATEGIES)}, got {self.strategy!r}.")
        if self.objective is not None and self.objective not in METRICS:
            raise InputError(f"Expected objective of {', '.join(METRICS)}, got {self.objective!r}.")
        object.__setattr__(self, "seeds", tuple(self.seeds))  # a list, from a notebook
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise InputError(f"Expected seeds that differ, each of at least 0, got {self.seeds}.")

    @property
    def figure(self) -> str:
        """The figure that is maximised.

        Raises:
            InputError: if it is not one over all seeds, where there are several, or the other way round.
        """
        chosen = self.objective or (MEAN_SCORE if self.seeds else OBJECTIVE)
        if bool(self.seeds) != (chosen in OVER_SEEDS):
            kind = f"one over all seeds ({', '.join(OVER_SEEDS)})" if self.seeds else "that of a single training"
            raise InputError(f"Expected objective to be {kind} for seeds {self.seeds}, got {chosen!r}.")
        return chosen

    @property
    def n_trainings(self) -> int:
        """Trainings of all trials, each seed counted."""
        return self.n_trials * max(len(self.seeds), 1)


def take_seeds(spec: JobSpec, config: TuningConfig) -> tuple[JobSpec, TuningConfig]:
    """Returns a training and a search of which both know the seeds, wherever they were given.

    Raises:
        InputError: if both were given seeds, and others.
    """
    own = tuple(spec.parameters.get("seeds", ()))
    if own and config.seeds and own != config.seeds:
        raise InputError(f"Expected seeds once, got {own} of the training and {config.seeds} of the search.")
    seeds = config.seeds or own
    parameters = {**spec.parameters, "seeds": list(seeds)} if seeds else spec.parameters
    return replace(spec, parameters=parameters), replace(config, seeds=seeds)


def name_tuning() -> str:
    """Returns a new name for a tuning job: they are shorter than other jobs'."""
    return f"roadsense-{datetime.now(UTC):%y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def build_tuning_request(
    spec: JobSpec, config: TuningConfig, placement: Placement, space: SearchSpace | None = None
) -> dict[str, Any]:
    """Returns the request `CreateHyperParameterTuningJob`.

    Args:
        spec: checked: the training each trial makes, its name that of the tuning job, its limits those of one trial
            with all its seeds.
        config: of the search.
        placement: role, tags and the like.
        space: what is searched; by default what a local search does.

    Raises:
        InputError: if something of it cannot be sent.
    """
    spec, config = take_seeds(spec, config)
    name, ranges = spec.name or "", (space or SearchSpace()).ranges()
    if len(name) > MAX_NAME:
        raise InputError(f"Expected a tuning job's name of at most {MAX_NAME} characters, got {name!r}.")
    both = sorted(ranges.keys() & spec.parameters.keys())
    if both:
        raise InputError(f"Expected parameters that are not searched, got {both}. Leave them out of one of the two.")
    definition = {
        "StaticHyperParameters": {key: encode_value(value) for key, value in spec.parameters.items()},
        "Environment": {**_name_trial(spec), **name_facts(placement.facts)},
        **build_definition(spec, placement),
    }
    if spec.spot:  # each trial keeps its own in a folder of its own name
        place = f"{spec.output.rstrip('/')}/tuning/{name}/checkpoints"
        definition["CheckpointConfig"] = {"S3Uri": place, "LocalPath": CHECKPOINT_DIR}
    check_limits(definition)
    request = {
        "HyperParameterTuningJobName": name,
        "HyperParameterTuningJobConfig": _build_search(config, ranges),
        "TrainingJobDefinition": definition,
        "Tags": list_tags(placement.tags),
    }
    if config.warm_start_from:
        request["WarmStartConfig"] = {
            "ParentHyperParameterTuningJobs": [{"HyperParameterTuningJobName": config.warm_start_from}],
            "WarmStartType": "IdenticalDataAndAlgorithm",
        }
    return request


def build_ranges(ranges: Mapping[str, Range | Choice]) -> dict[str, list[dict[str, Any]]]:
    """Returns a search space as SageMaker's `ParameterRanges`; a kind without a range is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, searched in ranges.items():
        if isinstance(searched, Choice):
            values = [encode_value(value) for value in searched.values]
            found.setdefault("CategoricalParameterRanges", []).append({"Name": name, "Values": values})
            continue
        kind = "IntegerParameterRanges" if searched.whole else "ContinuousParameterRanges"
        low, high = (_spell(edge, searched.whole) for edge in (searched.low, searched.high))
        scale = "Logarithmic" if searched.log else "Linear"
        found.setdefault(kind, []).append({"Name": name, "MinValue": low, "MaxValue": high, "ScalingType": scale})
    return found


def _name_trial(spec: JobSpec) -> dict[str, str]:
    """Returns a job's variables but its name: SageMaker gives each trial one of its own."""
    return {key: value for key, value in job_environment(spec).items() if key != NAME_VARIABLE}


def _build_search(config: TuningConfig, ranges: Mapping[str, Range | Choice]) -> dict[str, Any]:
    stops = config.early_stopping and config.strategy != "Hyperband"
    search: dict[str, Any] = {
        "Strategy": config.strategy,
        "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": config.figure},
        "ResourceLimits": {
            "MaxNumberOfTrainingJobs": config.n_trials,
            "MaxParallelTrainingJobs": config.n_parallel,
        },
        "ParameterRanges": build_ranges(ranges),
        "TrainingJobEarlyStoppingType": "Auto" if stops else "Off",
    }
    if config.seed is not None:
        search["RandomSeed"] = config.seed
    return search


def _spell(edge: float, whole: bool) -> str:
    return str(math.floor(edge)) if whole else repr(float(edge))
