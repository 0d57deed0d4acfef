"""A job as AWS's own SDK knows it: field by field the request that we send."""

import json
from dataclasses import replace

import boto3
import pytest

from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.bridge import NOT_CARRIED, as_model_trainer, as_tuner
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.aws.sagemaker.request import check_request
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker_request import SPEC, search

REGION = "eu-central-1"


@pytest.fixture
def sent(aws, monkeypatch):
    """Requests that the SDK sends, by operation."""
    monkeypatch.setenv("SAGEMAKER_VALIDATE_ROLE", "false")
    requests, original = {}, boto3.Session.client

    def _listening(session, service, *args, **kwargs):
        client = original(session, service, *args, **kwargs)
        client.meta.events.register(
            "provide-client-params.sagemaker.*",
            lambda params, model, **_: requests.setdefault(model.name, json.loads(json.dumps(params))),
        )
        return client

    monkeypatch.setattr(boto3.Session, "client", _listening)
    with told(Story()):
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield requests


def differences(ours, theirs, left_out):
    """Fields of our request that the SDK's has otherwise."""
    ours, theirs = ({k: json.dumps(v, sort_keys=True) for k, v in each.items()} for each in (ours, theirs))
    return {
        name: (text, theirs.get(name))
        for name, text in ours.items()
        if name not in left_out and theirs.get(name) != text
    }


@pytest.mark.parametrize("spot", [False, True])
def test_a_model_trainer_sends_our_request(sent, spot):
    spec = replace(SPEC, spot=spot)
    as_model_trainer(spec).train(wait=False, logs=False)
    check_request("CreateTrainingJob", sent["CreateTrainingJob"])
    ours = plan_job(spec).request.content
    assert differences(without_times(ours), without_times(sent["CreateTrainingJob"]), NOT_CARRIED["ModelTrainer"]) == {}


def test_a_tuner_sends_our_request_but_for_what_the_sdk_drops(sent):
    spec = search(n_trials=10, n_parallel=2, search_seed=3)
    tuner = as_tuner(spec)
    tuner.tune(inputs=tuner.model_trainer.input_data_config, job_name=spec.name, wait=False)
    theirs = without_times(sent["CreateHyperParameterTuningJob"])
    ours = without_times(plan_job(spec).request.content)
    for each in (
        ours["HyperParameterTuningJobConfig"]["ParameterRanges"],
        theirs["HyperParameterTuningJobConfig"]["ParameterRanges"],
    ):
        for kind in each.values():
            kind.sort(key=lambda one: one["Name"])
    limits, goal = "ResourceLimits", "HyperParameterTuningJobObjective"
    for name in ("Strategy", limits, goal, "TrainingJobEarlyStoppingType", "RandomSeed"):
        assert theirs["HyperParameterTuningJobConfig"][name] == ours["HyperParameterTuningJobConfig"][name], name
    assert NOT_CARRIED["HyperparameterTuner"][1] == "EnableNetworkIsolation"
    # What is false, and File as the way of input, are AWS's defaults, which the SDK leaves out.
    left_out = {"EnableNetworkIsolation", "EnableManagedSpotTraining", "InputDataConfig"}
    assert differences(ours["TrainingJobDefinition"], theirs["TrainingJobDefinition"], left_out) == {}
    assert not theirs["TrainingJobDefinition"].get("EnableManagedSpotTraining", False)
    channels = [each["TrainingJobDefinition"]["InputDataConfig"] for each in (ours, theirs)]
    names, sources = ([[each[key] for each in one] for one in channels] for key in ("ChannelName", "DataSource"))
    assert names[0] == names[1]
    assert sources[0] == sources[1]


def without_times(request):
    """A request without the deadline, which changes from second to second."""
    tags = [tag for tag in request.get("Tags", []) if tag["Key"] != "roadsense:deadline"]
    return {**request, "Tags": sorted(tags, key=lambda tag: tag["Key"])}


def test_a_search_is_no_trainer_and_a_training_no_tuner(no_aws):
    with pytest.raises(InputError, match="as_tuner"):
        as_model_trainer(search(n_trials=2, n_parallel=1))
    with pytest.raises(InputError, match="as_model_trainer"):
        as_tuner(SPEC)
