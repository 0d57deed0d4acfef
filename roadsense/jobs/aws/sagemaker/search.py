"""Builds the request that starts a search on SageMaker, and its ranges."""

import math
from collections.abc import Mapping
from typing import Any

from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.request import (
    Placement,
    Request,
    build_algorithm,
    build_definition,
    encode,
    list_tags,
    load_shapes,
    name_facts,
)
from roadsense.jobs.inside.layout import NAME_VARIABLE, RUN_VARIABLE, job_environment
from roadsense.jobs.metric_series import METRICS
from roadsense.jobs.parameters import encode_value
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.tuning import TuningConfig
from roadsense.training.search_space import Choice, Range, SearchSpace

OF_A_JOB = (NAME_VARIABLE, RUN_VARIABLE)
"""Variables that a trial does not get, because SageMaker names each trial itself."""


def build_tuning_request(spec: JobSpec, placement: Placement, space: SearchSpace | None = None) -> Request:
    """Returns the request `CreateHyperParameterTuningJob`; the limits of the spec are those of one trial.

    Trials have no checkpoints on S3: the request has one URL for all, so each trial would download those of all
    others. A trial whose spot machine is taken away starts again from the beginning.

    Raises:
        InputError: if a parameter is both given and searched.
    """
    ranges = (space or SearchSpace()).ranges()
    both = sorted(ranges.keys() & spec.parameters.keys())
    if both:
        raise InputError(f"Expected parameters that are not searched, got {both}. Leave them out of one of the two.")
    shapes = load_shapes()
    variables = {name: text for name, text in job_environment(spec).items() if name not in OF_A_JOB}
    arguments = {
        "hyper_parameter_tuning_job_name": spec.name or "",
        "hyper_parameter_tuning_job_config": _build_search(spec.search, ranges),
        "training_job_definition": shapes.HyperParameterTrainingJobDefinition(
            static_hyper_parameters=encode(spec.parameters),
            environment={**variables, **name_facts(placement.facts)},
            algorithm_specification=shapes.HyperParameterAlgorithmSpecification(**build_algorithm(spec)),
            **build_definition(spec, placement),
        ),
        "tags": list_tags(placement.tags),
    }
    if earlier := spec.search.warm_start_from:
        arguments["warm_start_config"] = shapes.HyperParameterTuningJobWarmStartConfig(
            parent_hyper_parameter_tuning_jobs=[
                shapes.ParentHyperParameterTuningJob(hyper_parameter_tuning_job_name=earlier)
            ],
            warm_start_type="IdenticalDataAndAlgorithm",
        )
    return Request("HyperParameterTuningJob", arguments)


def make_parameters(ranges: Mapping[str, Range | Choice]) -> dict[str, Any]:
    """Returns a search space as the parameters of the `sagemaker` package, by name."""
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    found: dict[str, Any] = {}
    for name, searched in ranges.items():
        if isinstance(searched, Choice):
            found[name] = CategoricalParameter([encode_value(value) for value in searched.values])
            continue
        scale = "Logarithmic" if searched.log else "Linear"
        if searched.whole:
            found[name] = IntegerParameter(math.floor(searched.low), math.floor(searched.high), scale)
        else:
            found[name] = ContinuousParameter(float(searched.low), float(searched.high), scale)
    return found


def build_ranges(ranges: Mapping[str, Range | Choice]) -> Any:
    """Returns a search space as the shape `ParameterRanges`; kinds without a range are left out."""
    shapes, found = load_shapes(), dict[str, list[Any]]()
    for name, parameter in make_parameters(ranges).items():
        kind, edges = parameter.__name__, parameter.as_tuning_range(name)
        if kind == "Categorical":
            one = shapes.CategoricalParameterRange(name=name, values=edges["Values"])
        else:
            one = getattr(shapes, f"{kind}ParameterRange")(
                name=name, min_value=edges["MinValue"], max_value=edges["MaxValue"], scaling_type=edges["ScalingType"]
            )
        found.setdefault(f"{kind.lower()}_parameter_ranges", []).append(one)
    return shapes.ParameterRanges(**found)


def _build_search(search: TuningConfig, ranges: Mapping[str, Range | Choice]) -> Any:
    if search.figure not in METRICS:
        raise InputError(f"Expected objective of {', '.join(METRICS)}, got {search.figure!r}.")
    shapes, stops = load_shapes(), search.early_stopping and search.strategy != "Hyperband"
    seed = {} if search.search_seed is None else {"random_seed": search.search_seed}
    return shapes.HyperParameterTuningJobConfig(
        strategy=search.strategy,
        hyper_parameter_tuning_job_objective=shapes.HyperParameterTuningJobObjective(
            type="Maximize", metric_name=search.figure
        ),
        resource_limits=shapes.ResourceLimits(
            max_number_of_training_jobs=search.n_trials, max_parallel_training_jobs=search.n_parallel
        ),
        parameter_ranges=build_ranges(ranges),
        training_job_early_stopping_type="Auto" if stops else "Off",
        **seed,
    )
