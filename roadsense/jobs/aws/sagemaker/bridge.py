"""Converts a job to the objects of AWS's own SDK: a `ModelTrainer`, or a `HyperparameterTuner`.

They are made from the request that `roadsense job` would send, so both are the same. `NOT_CARRIED` lists the fields
that the SDK's objects do not support. Their constructors check the role with IAM unless
`SAGEMAKER_VALIDATE_ROLE=false`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from roadsense.cloud.session import find_region
from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.plan import plan_job
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


def as_model_trainer(spec: JobSpec) -> "ModelTrainer":
    """Returns a training as a `ModelTrainer`: `.train(wait=False)` starts it.

    Raises:
        InputError: if the `sagemaker` package is not installed, or the spec is a search.
    """
    if spec.search.is_search:
        raise InputError(f"Expected a single training, got a search of {spec.search.n_trials} trials: use as_tuner.")
    request = plan_job(spec).request
    return _make_trainer(spec, request, request["HyperParameters"], request["CheckpointConfig"])


def as_tuner(spec: JobSpec, space: SearchSpace | None = None) -> "HyperparameterTuner":
    """Returns a search as a `HyperparameterTuner`: `.tune(inputs=tuner.model_trainer.input_data_config)` starts it.

    Raises:
        InputError: if the `sagemaker` package is not installed, or the spec is a single training.
    """
    if not spec.search.is_search:
        raise InputError("Expected a search of several trials, got n_trials 1: use as_model_trainer.")
    request = plan_job(spec, space=space).request
    definition, config = request["TrainingJobDefinition"], request["HyperParameterTuningJobConfig"]
    trainer = _make_trainer(spec, {**request, **definition}, definition["StaticHyperParameters"], None)
    from sagemaker.train.tuner import HyperparameterTuner

    objective, limits = config["HyperParameterTuningJobObjective"], config["ResourceLimits"]
    return HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name=objective["MetricName"],
        objective_type=objective["Type"],
        hyperparameter_ranges=_make_ranges(config["ParameterRanges"]),
        metric_definitions=definition["AlgorithmSpecification"]["MetricDefinitions"],
        strategy=config["Strategy"],
        max_jobs=limits["MaxNumberOfTrainingJobs"],
        max_parallel_jobs=limits["MaxParallelTrainingJobs"],
        early_stopping_type=config["TrainingJobEarlyStoppingType"],
        base_tuning_job_name="roadsense",
        random_seed=config.get("RandomSeed"),
        tags=request["Tags"],
    )


def _make_trainer(
    spec: JobSpec, request: Mapping[str, Any], parameters: Mapping[str, str], checkpoints: Mapping[str, str] | None
) -> "ModelTrainer":
    try:
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.training import configs
        from sagemaker.train import ModelTrainer
    except ImportError as error:
        raise InputError("Expected the package sagemaker, found none. pip install 'roadsense[sagemaker]'.") from error
    import boto3

    resources, stopping = request["ResourceConfig"], request["StoppingCondition"]
    bucket = spec.output.removeprefix("s3://").partition("/")[0]
    session = Session(
        boto_session=boto3.Session(region_name=find_region(spec.region)),
        default_bucket=bucket,
        sagemaker_config={"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}},
    )
    trainer = ModelTrainer(
        sagemaker_session=session,
        role=request["RoleArn"],
        base_job_name=f"roadsense-{spec.notebook_name}".replace("_", "-"),
        training_image=request["AlgorithmSpecification"]["TrainingImage"],
        hyperparameters=dict(parameters),
        compute=configs.Compute(
            instance_type=resources["InstanceType"],
            instance_count=resources["InstanceCount"],
            volume_size_in_gb=resources["VolumeSizeInGB"],
            enable_managed_spot_training=request["EnableManagedSpotTraining"],
        ),
        stopping_condition=configs.StoppingCondition(
            max_runtime_in_seconds=stopping["MaxRuntimeInSeconds"],
            max_wait_time_in_seconds=stopping.get("MaxWaitTimeInSeconds"),
        ),
        input_data_config=[
            configs.InputData(channel_name=each["ChannelName"], data_source=each["DataSource"]["S3DataSource"]["S3Uri"])
            for each in request.get("InputDataConfig", [])
        ],
        output_data_config=configs.OutputDataConfig(s3_output_path=request["OutputDataConfig"]["S3OutputPath"]),
        checkpoint_config=checkpoints
        and configs.CheckpointConfig(s3_uri=checkpoints["S3Uri"], local_path=checkpoints["LocalPath"]),
        networking=configs.Networking(enable_network_isolation=request["EnableNetworkIsolation"]),
        environment=dict(request["Environment"]),
        tags=[configs.Tag(key=tag["Key"], value=tag["Value"]) for tag in request["Tags"]],
    )
    metrics = request["AlgorithmSpecification"]["MetricDefinitions"]
    return trainer.with_metric_definitions(
        [configs.MetricDefinition(name=each["Name"], regex=each["Regex"]) for each in metrics]
    )


def _make_ranges(ranges: Mapping[str, Any]) -> dict[str, Any]:
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    found: dict[str, Any] = {
        each["Name"]: CategoricalParameter(each["Values"]) for each in ranges.get("CategoricalParameterRanges", [])
    }
    for kind, parameter, number in (
        ("IntegerParameterRanges", IntegerParameter, int),
        ("ContinuousParameterRanges", ContinuousParameter, float),
    ):
        for each in ranges.get(kind, []):
            edges = number(each["MinValue"]), number(each["MaxValue"])
            found[each["Name"]] = parameter(*edges, scaling_type=each["ScalingType"])
    return found
