"""What is sent to SageMaker: built without it, checked against its own model."""

import json
import re
from dataclasses import replace

import pytest

from roadsense.cloud.session import RequestError
from roadsense.errors import InputError
from roadsense.jobs.sagemaker_request import METRICS, Placement, build_training_request, check_limits
from roadsense.jobs.sagemaker_send import check_request, to_arguments
from roadsense.jobs.sagemaker_tuning import TuningConfig, build_ranges, build_tuning_request
from roadsense.jobs.spec import JobSpec
from roadsense.runs.metric_lines import METRIC_VARIABLE, print_metrics
from roadsense.training.search_space import Choice, Range, SearchSpace

ROLE = "arn:aws:iam::123456789012:role/service-role/roadsense"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/roadsense:abc"
DATASET = f"s3://bucket/roads/datasets/{'0a' * 32}"
SPEC = JobSpec(
    "notebooks/01_train.ipynb",
    {"total_timesteps": 5000, "learning_rate": 3e-4, "v2v_randomised": True},
    target="sagemaker",
    name="roadsense-01-train-1",
    image=IMAGE,
    instance_type="ml.c5.9xlarge",
    dataset=DATASET,
    output="s3://bucket/roads",
    max_hours=2.0,
    region="eu-central-1",
    role=ROLE,
)
PLACE = Placement(ROLE, {"project": "roadsense", "roadsense:job": "roadsense-01-train-1"}, facts={"git_commit": "abc"})
TUNING_SPEC = replace(SPEC, name="tune-1", parameters={"total_timesteps": 5000})


def test_request_is_one_sagemaker_takes():
    request = build_training_request(SPEC, PLACE)
    check_request("CreateTrainingJob", request)
    check_limits(request)
    assert request["HyperParameters"] == {
        "total_timesteps": "5000", "learning_rate": "0.0003", "v2v_randomised": "true",
    }  # fmt: skip
    assert request["Environment"]["ROADSENSE_NOTEBOOK"] == "01_train"
    assert request["Environment"]["ROADSENSE_JOB_GIT_COMMIT"] == "abc"
    assert request["CheckpointConfig"]["S3Uri"] == "s3://bucket/roads/jobs/roadsense-01-train-1/checkpoints"
    assert request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] == f"{DATASET}/"
    assert request["EnableNetworkIsolation"]
    assert "MaxWaitTimeInSeconds" not in request["StoppingCondition"]


def test_spot_waits_and_keeps_checkpoints():
    request = build_training_request(replace(SPEC, spot=True), PLACE)
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 7200, "MaxWaitTimeInSeconds": 14400}
    check_request("CreateTrainingJob", request)
    check_limits(request)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 7200}, "EnableManagedSpotTraining": True}, "MaxWait"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 120}}, "spot"),
        (
            {
                "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 30},
                "EnableManagedSpotTraining": True,
            },
            "at least",
        ),
    ],
)
def test_limits_that_do_not_go_together_are_refused(change, word):
    with pytest.raises(InputError, match=word):
        check_limits(build_training_request(SPEC, PLACE) | change)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("TrainingJobName", "road_sense"),
        ("OutputDataConfig", {"S3OutputPath": "runs/jobs"}),
        ("ResourceConfig", {"InstanceType": "c5.9xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}),
        ("HyperParameters", {"note": "x" * 3000}),
        ("RoleArn", "roadsense"),
    ],
)
def test_what_the_model_forbids_is_found_before_sending(field, value):
    request = build_training_request(SPEC, PLACE) | {field: value}
    with pytest.raises(RequestError, match=field):
        check_request("CreateTrainingJob", request)


@pytest.mark.parametrize("image", [None, "roadsense:latest", "123456789012.dkr.ecr.eu-central-1.amazonaws.com/r"])
def test_image_has_to_be_one_in_ecr_with_its_version(image):
    with pytest.raises(InputError, match="ECR"):
        build_training_request(replace(SPEC, image=image), PLACE)


def test_local_dataset_is_not_sent_as_a_path():
    with pytest.raises(InputError, match="Publish"):
        build_training_request(replace(SPEC, dataset="scenarios/dataset_v1"), PLACE)


def test_metric_expressions_read_the_lines_a_training_prints(monkeypatch, capsys):
    monkeypatch.setenv(METRIC_VARIABLE, "1")
    figures = {name: 0.125 * (number + 1) for number, name in enumerate(METRICS)}
    print_metrics(figures)
    printed = capsys.readouterr().out
    for definition in build_training_request(SPEC, PLACE)["AlgorithmSpecification"]["MetricDefinitions"]:
        found = re.findall(definition["Regex"], printed)
        assert [float(value) for value in found] == [figures[definition["Name"]]]


def test_tuning_request_is_one_sagemaker_takes():
    request = build_tuning_request(TUNING_SPEC, TuningConfig(n_trials=50, n_parallel=5, seed=7), PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    search = request["HyperParameterTuningJobConfig"]
    assert search["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 5}
    rate = next(
        each for each in search["ParameterRanges"]["ContinuousParameterRanges"] if each["Name"] == "learning_rate"
    )
    assert (rate["ScalingType"], float(rate["MinValue"]), float(rate["MaxValue"])) == ("Logarithmic", 1e-4, 2e-3)
    objective = search["HyperParameterTuningJobObjective"]["MetricName"]
    defined = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert objective in [each["Name"] for each in defined]
    told = request["TrainingJobDefinition"]["Environment"]
    assert "TRAINING_JOB_NAME" not in told
    assert told["ROADSENSE_JOB_GIT_COMMIT"] == "abc"


def test_tuning_and_local_search_have_one_space():
    space = SearchSpace()
    ranges = build_ranges(space.ranges())
    assert {each["Name"] for kind in ranges.values() for each in kind} == set(space.ranges())


def test_ranges_of_each_kind():
    found = build_ranges({"a": Range(1, 10, whole=True), "b": Choice((256, "linear")), "c": Range(0.1, 0.3)})
    assert found["IntegerParameterRanges"] == [
        {"Name": "a", "MinValue": "1", "MaxValue": "10", "ScalingType": "Linear"}
    ]
    assert found["CategoricalParameterRanges"] == [{"Name": "b", "Values": ["256", "linear"]}]
    assert [json.loads(found["ContinuousParameterRanges"][0][edge]) for edge in ("MinValue", "MaxValue")] == [0.1, 0.3]


def test_warm_start_names_the_earlier_job():
    request = build_tuning_request(TUNING_SPEC, TuningConfig(warm_start_from="tune-0"), PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    assert request["WarmStartConfig"]["ParentHyperParameterTuningJobs"] == [{"HyperParameterTuningJobName": "tune-0"}]


def test_a_searched_parameter_cannot_be_given_too():
    with pytest.raises(InputError, match="learning_rate"):
        build_tuning_request(replace(SPEC, name="tune-1"), TuningConfig(), PLACE)


def test_a_tuning_jobs_name_is_short():
    with pytest.raises(InputError, match="32"):
        build_tuning_request(replace(TUNING_SPEC, name="a" * 33), TuningConfig(), PLACE)


def test_a_trial_of_several_seeds_is_judged_by_one_figure_over_them():
    config = TuningConfig(seeds=(0, 1, 2))
    request = build_tuning_request(TUNING_SPEC, config, PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    search = request["HyperParameterTuningJobConfig"]
    assert search["HyperParameterTuningJobObjective"]["MetricName"] == "experiment_score"
    assert request["TrainingJobDefinition"]["StaticHyperParameters"]["seeds"] == "[0, 1, 2]"
    given = replace(TUNING_SPEC, parameters={**TUNING_SPEC.parameters, "seeds": [0, 1, 2]})
    assert build_tuning_request(given, TuningConfig(), PLACE) == request
    with pytest.raises(InputError, match="seeds once"):
        build_tuning_request(given, TuningConfig(seeds=(7, 8)), PLACE)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": (0, 1), "objective": "eval_score"}, "over all seeds"),
        ({"objective": "experiment_score"}, "single training"),
    ],
)
def test_an_objective_fits_the_number_of_seeds(settings, said):
    with pytest.raises(InputError, match=said):
        build_tuning_request(TUNING_SPEC, TuningConfig(**settings), PLACE)


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"n_trials": 51},
        {"n_trials": 0},
        {"n_parallel": 21},
        {"strategy": "Grid"},
        {"objective": "loss"},
    ],
)
def test_tuning_settings_are_checked(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TuningConfig(**settings)


def test_members_names_are_spelt_for_the_resource_layer_and_keys_of_ours_are_not():
    spelt = to_arguments({"OutputDataConfig": {"S3OutputPath": "x"}, "HyperParameters": {"Total_Steps": "5"}})
    assert spelt == {"output_data_config": {"s3_output_path": "x"}, "hyper_parameters": {"Total_Steps": "5"}}
