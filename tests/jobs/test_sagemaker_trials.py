"""A tuning job of fifty trials on a stand-in for SageMaker: listed, judged, ended, from the command line too."""

import json

import boto3
import numpy as np
import pytest

from roadsense.errors import InputError
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_trials import find_best, read_trials, read_tuning, stop_tuning
from roadsense.jobs.sagemaker_tuning import MAX_NAME, TuningConfig, name_tuning
from roadsense.jobs.spec import spec_to_json
from roadsense.jobs.target import JobError
from roadsense.jobs.tune_command import main
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker_request import TUNING_SPEC

NAME = "tune-1"


def summarise(number, score, status="Completed"):
    metric = {"MetricName": "eval_score", "Value": score}
    return {
        "TrainingJobName": f"{NAME}-{number:03d}",
        "TrainingJobArn": f"arn:aws:sagemaker:eu-central-1:123456789012:training-job/{NAME}-{number:03d}",
        "CreationTime": 1.7e9,
        "TrainingJobStatus": status,
        "TunedHyperParameters": {"learning_rate": str(1e-4 * (number + 1))},
        **({"FinalHyperParameterTuningJobObjectiveMetric": metric} if score is not None else {}),
    }


@pytest.fixture
def story(aws):
    with told(Story()) as story:
        story.trials[NAME] = []
        SageMakerTarget().submit_tuning(TUNING_SPEC, TuningConfig(n_trials=50, n_parallel=5))
        yield story


def test_fifty_trials_come_best_first(story):
    scores = np.random.default_rng(0).normal(size=50).round(6)
    story.trials[NAME] = [summarise(number, float(score)) for number, score in enumerate(scores)]
    trials = read_trials(NAME)
    assert [trial.score for trial in trials] == sorted(scores.tolist(), reverse=True)
    assert trials[0].settings == {"learning_rate": str(1e-4 * (int(scores.argmax()) + 1))}
    assert find_best(NAME).job == f"{NAME}-{int(scores.argmax()):03d}"


def test_only_a_trial_that_came_to_its_end_is_the_best(story):
    story.trials[NAME] = [summarise(0, 0.9, "Stopped"), summarise(1, 0.5), summarise(2, None, "InProgress")]
    assert find_best(NAME).job == f"{NAME}-001"
    assert read_trials(NAME)[-1].score is None


def test_without_a_score_there_is_no_best(story):
    story.trials[NAME] = [summarise(0, None, "InProgress")]
    with pytest.raises(JobError, match="score"):
        find_best(NAME)


def test_a_tuning_job_is_ended(story):
    sagemaker = boto3.client("sagemaker")
    stop_tuning(NAME)
    assert read_tuning(NAME)["HyperParameterTuningJobStatus"] in ("Stopped", "Completed")
    assert sagemaker.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]


def test_an_unknown_tuning_job_is_named(story):
    with pytest.raises(InputError, match="nobody"):
        read_trials("nobody")


def test_command_shows_the_request_and_its_price(story, tmp_path, capsys):
    spec_to_json(TUNING_SPEC, tmp_path / "spec.json")
    assert main(["--spec", str(tmp_path / "spec.json"), "--n_trials", "50", "--n_parallel", "5", "--dry_run"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert "USD" in shown["estimate"]
    search = shown["calls"][-1]["request"]["HyperParameterTuningJobConfig"]
    assert search["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 50


def test_command_lists_trials(story, capsys):
    story.trials[NAME] = [summarise(0, 0.25), summarise(1, 0.5)]
    assert main(["--job", NAME, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["score"] for row in rows] == [0.5, 0.25]


def test_command_needs_one_of_spec_and_job(capsys):
    assert main([]) == 2
    assert "--job" in capsys.readouterr().err


def test_names_of_tuning_jobs_are_short_and_new():
    names = {name_tuning() for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) <= MAX_NAME for name in names)
