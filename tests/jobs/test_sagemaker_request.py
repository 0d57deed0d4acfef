"""What is sent to SageMaker: built without it, checked against its own model."""

import json
import re
import sys
from dataclasses import replace

import pytest
from sagemaker.core.utils.utils import serialize

from roadsense.cloud.session import RequestError
from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.aws.sagemaker.request import Placement, build_ranges, check_request
from roadsense.jobs.aws.sagemaker.request import build_training_request as build_training
from roadsense.jobs.aws.sagemaker.request import build_tuning_request as build_tuning
from roadsense.jobs.metric_series import METRICS
from roadsense.jobs.spec import JobSpec, check_spec, continue_spec
from roadsense.jobs.tuning import TuningConfig
from roadsense.runs.metric_lines import METRIC_VARIABLE, print_metrics
from roadsense.training.search_space import Choice, Range, SearchSpace
from tests.jobs.small_notebooks import ROOT

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
TUNING_SPEC = replace(
    SPEC, name="roadsense-tune-1", parameters={"total_timesteps": 5000}, search=TuningConfig(n_trials=20, n_parallel=4)
)


def build_training_request(spec, placement):
    """The request of a training as it is sent."""
    return build_training(spec, placement).content


def build_tuning_request(spec, placement):
    """The request of a search as it is sent."""
    return build_tuning(spec, placement).content


def list_ranges(ranges):
    """A search space as it is sent."""
    return serialize(build_ranges(ranges))


def search(**settings):
    """The spec of a search with these settings."""
    return replace(TUNING_SPEC, search=TuningConfig(**{"n_trials": 20, "n_parallel": 4, **settings}))


def test_request_is_one_sagemaker_takes():
    request = build_training_request(SPEC, PLACE)
    check_request("CreateTrainingJob", request)
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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("TrainingJobName", "road_sense"),
        ("OutputDataConfig", {"S3OutputPath": "runs/jobs"}),
        ("StoppingCondition", {"MaxRuntimeInSeconds": 0}),
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
    request = build_tuning_request(search(n_trials=50, n_parallel=5, search_seed=7), PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    config = request["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"] == {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 5}
    rate = next(
        each for each in config["ParameterRanges"]["ContinuousParameterRanges"] if each["Name"] == "learning_rate"
    )
    assert (rate["ScalingType"], float(rate["MinValue"]), float(rate["MaxValue"])) == ("Logarithmic", 1e-4, 2e-3)
    objective = config["HyperParameterTuningJobObjective"]["MetricName"]
    defined = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert objective in [each["Name"] for each in defined]
    told = request["TrainingJobDefinition"]["Environment"]
    assert "TRAINING_JOB_NAME" not in told
    assert told["ROADSENSE_JOB_GIT_COMMIT"] == "abc"


def test_tuning_and_local_search_have_one_space():
    space = SearchSpace()
    ranges = list_ranges(space.ranges())
    assert {each["Name"] for kind in ranges.values() for each in kind} == set(space.ranges())


def test_ranges_of_each_kind():
    found = list_ranges({"a": Range(1, 10, whole=True), "b": Choice((256, "linear")), "c": Range(0.1, 0.3)})
    assert found["IntegerParameterRanges"] == [
        {"Name": "a", "MinValue": "1", "MaxValue": "10", "ScalingType": "Linear"}
    ]
    assert found["CategoricalParameterRanges"] == [{"Name": "b", "Values": ["256", "linear"]}]
    assert [json.loads(found["ContinuousParameterRanges"][0][edge]) for edge in ("MinValue", "MaxValue")] == [0.1, 0.3]


def test_warm_start_names_the_earlier_job():
    request = build_tuning_request(search(warm_start_from="tune-0"), PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    assert request["WarmStartConfig"]["ParentHyperParameterTuningJobs"] == [{"HyperParameterTuningJobName": "tune-0"}]


def test_a_searched_parameter_cannot_be_given_too():
    with pytest.raises(InputError, match="learning_rate"):
        build_tuning_request(replace(TUNING_SPEC, parameters=SPEC.parameters), PLACE)


def test_a_tuning_jobs_name_is_short():
    with pytest.raises(InputError, match="32"):
        replace(TUNING_SPEC, name="roadsense-" + "a" * 23)


def test_without_the_package_the_hint_names_its_extra(monkeypatch, no_aws):
    monkeypatch.setitem(sys.modules, "sagemaker.core", None)
    for spec in (SPEC, search(seeds=(0, 1))):
        with pytest.raises(InputError, match=r"pip install 'roadsense\[sagemaker\]'"):
            plan_job(replace(spec, dataset=None))


def test_a_trial_of_several_seeds_is_judged_by_one_figure_over_them():
    spec = check_spec(replace(search(seeds=(0, 1, 2)), dataset=None))
    request = build_tuning_request(spec, PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    objective = request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    assert objective["MetricName"] == "experiment_score"
    assert request["TrainingJobDefinition"]["StaticHyperParameters"]["seeds"] == "[0, 1, 2]"
    given = replace(TUNING_SPEC, dataset=None, parameters={**TUNING_SPEC.parameters, "seeds": [0, 1, 2]})
    assert build_tuning_request(check_spec(given), PLACE) == request
    with pytest.raises(InputError, match="seeds once"):
        check_spec(replace(given, search=replace(given.search, seeds=(7, 8))))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seeds": (0, 1), "objective": "eval_score"}, "over all seeds"),
        ({"objective": "experiment_score"}, "single training"),
    ],
)
def test_an_objective_fits_the_number_of_seeds(settings, said):
    with pytest.raises(InputError, match=said):
        build_tuning_request(search(**settings), PLACE)


@pytest.mark.parametrize(
    "settings",
    [
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"n_trials": 51},
        {"n_trials": 0},
        {"n_parallel": 2},
        {"strategy": "Grid"},
        {"search_seed": 0},
    ],
)
def test_tuning_settings_are_checked(settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        TuningConfig(**settings)


def test_an_unknown_objective_is_refused():
    with pytest.raises(InputError, match="objective"):
        build_tuning_request(search(objective="loss"), PLACE)


def test_a_machine_that_botocore_does_not_know_yet_is_a_warning():
    request = build_training_request(replace(SPEC, instance_type="ml.c99.huge"), PLACE)
    with pytest.warns(UserWarning, match="ml.c99.huge"):
        check_request("CreateTrainingJob", request)


def test_trials_share_no_checkpoints_on_s3():
    request = build_tuning_request(replace(TUNING_SPEC, spot=True), PLACE)
    check_request("CreateHyperParameterTuningJob", request)
    assert "CheckpointConfig" not in request["TrainingJobDefinition"]


def test_a_resumed_job_has_a_new_name_and_the_same_checkpoints_and_run_folder():
    second, first = continue_spec(SPEC), build_training_request(SPEC, PLACE)
    third = continue_spec(second)
    assert [second.name, third.name] == ["roadsense-01-train-1-2", "roadsense-01-train-1-3"]
    for spec in (second, third):
        request = build_training_request(spec, PLACE)
        check_request("CreateTrainingJob", request)
        assert request["CheckpointConfig"] == first["CheckpointConfig"]
        assert request["Environment"]["ROADSENSE_RUN_NAME"] == "roadsense-01-train-1"


def test_the_name_of_a_resumed_job_is_never_too_long():
    long = replace(SPEC, name="roadsense-" + "a" * 53)
    second = continue_spec(long)
    assert continue_spec(second).name.endswith("a-3")
    assert len(second.name) == 63


@pytest.mark.parametrize(
    ("run_dir", "uri"),
    [
        ("s3://bucket/roads/jobs/one/model", "s3://bucket/roads/jobs/one/model/"),
        ("s3://bucket/roads/jobs/one/output/model.tar.gz", "s3://bucket/roads/jobs/one/output/model.tar.gz"),
    ],
)
def test_a_run_to_be_judged_is_an_input_of_its_own(run_dir, uri):
    request = build_training_request(
        replace(SPEC, notebook="notebooks/02_evaluate.ipynb", parameters={"run_dir": run_dir}), PLACE
    )
    check_request("CreateTrainingJob", request)
    channels = {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in request["InputDataConfig"]}
    assert channels == {"dataset": f"{DATASET}/", "run": uri}


@pytest.mark.parametrize(("hours", "seconds"), [(0.0001, 1), (1 / 3, 1200), (0.99999999, 3600)])
def test_a_limit_is_rounded_up(hours, seconds):
    request = build_training_request(replace(SPEC, max_hours=hours), PLACE)
    assert request["StoppingCondition"]["MaxRuntimeInSeconds"] == seconds


def test_the_documentation_shows_what_is_sent(no_aws):
    page = (ROOT / "docs" / "reference" / "sagemaker_requests.md").read_text()
    shown = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL)]
    base = {"output": "s3://your-bucket/roadsense", "dataset": f"s3://your-bucket/roadsense/datasets/{'0a' * 32}"}
    one = replace(SPEC, **base, parameters={"total_timesteps": 5000000}, max_hours=4.0, spot=True)
    many = TuningConfig(n_trials=50, n_parallel=5, seeds=(0, 1, 2), search_seed=7)
    tuned = check_spec(replace(one, name="roadsense-tune-1", max_hours=1.0, spot=False, search=many))
    assert [mask(shorten(plan_job(spec).request.content)) for spec in (one, tuned)] == [mask(each) for each in shown]


def shorten(request):
    """A request with a short list of figures, as the documentation shows it."""
    algorithm = request.get("TrainingJobDefinition", request)["AlgorithmSpecification"]
    first, second, *others = algorithm["MetricDefinitions"]
    algorithm["MetricDefinitions"] = [first, second, {"...": f"{len(others)} more, of the same form"}]
    return request


def mask(request):
    """A request without what differs from day to day."""
    text = json.dumps(request).replace("0a" * 32, "<digest>").replace("123456789012", "<account>")
    changing = {
        r"roadsense:(abc|<tag>)": "roadsense:tag",
        r'"[0-9a-f]{40}"': '"<commit>"',
        r'(owner", "Value": )"[^"]*"': r'\1"you"',
        r'(deadline", "Value": )"[^"]*"': r'\1"then"',
        r'(GIT_CLEAN|clean", "Value)": "(yes|no)"': r'\1": "yes"',
    }
    for pattern, same in changing.items():
        text = re.sub(pattern, same, text)
    return json.loads(text)
