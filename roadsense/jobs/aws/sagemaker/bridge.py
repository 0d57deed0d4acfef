"""Converts a job to the objects of AWS's own SDK: a `ModelTrainer`, or a `HyperparameterTuner`.

They are made from the request that `roadsense job` would send, so both are the same. `NOT_CARRIED` lists the fields
that the SDK's objects do not support. Their constructors check the role with IAM unless
`SAGEMAKER_VALIDATE_ROLE=false`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roadsense.cloud.s3_transfer import S3Place
from roadsense.cloud.session import find_region
from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.aws.sagemaker.request import make_parameters
from roadsense.jobs.spec import JobSpec
from roadsense.training.search_space import SearchSpace

if TYPE_CHECKING:
    from sagemaker.train import ModelTrainer
    from sagemaker.train.tuner import HyperparameterTuner

NOT_CARRIED = {
    "ModelTrainer": ("TrainingJobName",),
    "HyperparameterTuner": ("HyperParameterTuningJobName", "EnableNetworkIsolation", "WarmStartConfig"),
}
"""Request fields that the SDK's objects leave out: the SDK names trainings itself, and its tuner drops isolation."""
NO_TELEMETRY = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}


def as_model_trainer(spec: JobSpec) -> "ModelTrainer":
    """Returns a training as a `ModelTrainer`: `.train(wait=False)` starts it.

    Raises:
        InputError: if the `sagemaker` package is not installed, or the spec is a search.
    """
    if spec.search.is_search:
        raise InputError(f"Expected a single training, got a search of {spec.search.n_trials} trials: use as_tuner.")
    job = plan_job(spec).request.arguments
    return _make_trainer(spec, job, job["hyper_parameters"], job["tags"], checkpoint_config=job["checkpoint_config"])


def as_tuner(spec: JobSpec, space: SearchSpace | None = None) -> "HyperparameterTuner":
    """Returns a search as a `HyperparameterTuner`: `.tune(inputs=tuner.model_trainer.input_data_config)` starts it.

    Raises:
        InputError: if the `sagemaker` package is not installed, or the spec is a single training.
    """
    if not spec.search.is_search:
        raise InputError("Expected a search of several trials, got n_trials 1: use as_model_trainer.")
    search = plan_job(spec, space=space).request.arguments
    trial, config = search["training_job_definition"], search["hyper_parameter_tuning_job_config"]
    from sagemaker.train.tuner import HyperparameterTuner

    return HyperparameterTuner(
        model_trainer=_make_trainer(spec, dict(trial), trial.static_hyper_parameters, search["tags"]),
        objective_metric_name=config.hyper_parameter_tuning_job_objective.metric_name,
        objective_type=config.hyper_parameter_tuning_job_objective.type,
        hyperparameter_ranges=make_parameters((space or SearchSpace()).ranges()),
        metric_definitions=[
            {"Name": each.name, "Regex": each.regex} for each in trial.algorithm_specification.metric_definitions
        ],
        strategy=config.strategy,
        max_jobs=config.resource_limits.max_number_of_training_jobs,
        max_parallel_jobs=config.resource_limits.max_parallel_training_jobs,
        early_stopping_type=config.training_job_early_stopping_type,
        base_tuning_job_name="roadsense",
        random_seed=spec.search.search_seed,
        tags=search["tags"],
    )


def _make_trainer(
    spec: JobSpec, job: Mapping[str, Any], parameters: Mapping[str, str], tags: list[Any], **further: Any
) -> "ModelTrainer":
    import boto3
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import Compute, Networking, OutputDataConfig
    from sagemaker.train import ModelTrainer

    algorithm, resources = job["algorithm_specification"], job["resource_config"].model_dump(exclude_unset=True)
    channels = job.get("input_data_config")
    session = Session(
        boto_session=boto3.Session(region_name=find_region(spec.region)),
        default_bucket=S3Place.parse(spec.output).bucket,
        sagemaker_config=NO_TELEMETRY,
    )
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=job["role_arn"],
        base_job_name=f"roadsense-{spec.notebook_name}".replace("_", "-"),
        training_image=algorithm.training_image,
        hyperparameters=dict(parameters),
        compute=Compute(**resources, enable_managed_spot_training=job["enable_managed_spot_training"]),
        stopping_condition=job["stopping_condition"],
        input_data_config=channels if isinstance(channels, list) else [],
        output_data_config=OutputDataConfig(**job["output_data_config"].model_dump(exclude_unset=True)),
        networking=Networking(enable_network_isolation=job["enable_network_isolation"]),
        environment=job["environment"],
        tags=tags,
        **further,
    )
    return trainer.with_metric_definitions(algorithm.metric_definitions)
