"""A tuning job of fifty trials on a stand-in for SageMaker: listed, judged, ended, from the command line too."""

import json
from dataclasses import replace

import matplotlib
import numpy as np
import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.target import SageMakerTarget
from roadsense.jobs.aws.sagemaker.trials import Trial, find_best, make_study, plot_trials, read_trials
from roadsense.jobs.spec import MAX_SEARCH_NAME, name_job, spec_to_json
from roadsense.jobs.target import JobError
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker import submit
from tests.jobs.test_sagemaker_request import TUNING_SPEC, search

NAME = "roadsense-tune-1"


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
        submit(search(n_trials=50, n_parallel=5))
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


def test_an_unknown_search_is_named(story):
    with pytest.raises(InputError, match="nobody"):
        SageMakerTarget().status("nobody")


def test_the_trials_are_a_study_of_optuna(story):
    story.trials[NAME] = [summarise(0, 0.25), summarise(1, 0.5), summarise(2, None, "Failed")]
    study = make_study(read_trials(NAME))
    assert study.best_value == 0.5
    assert study.best_params == {"learning_rate": pytest.approx(2e-4)}
    assert [trial.user_attrs["job"] for trial in study.trials] == [f"{NAME}-{number:03d}" for number in range(3)]
    style = dict(matplotlib.rcParams)
    assert plot_trials(read_trials(NAME), "eval_score").axes
    assert dict(matplotlib.rcParams) == style  # of whatever is drawn next
    assert plot_trials([], "eval_score") is None


def test_numbers_and_texts_that_only_some_trials_have_are_part_of_the_study():
    settings = ({"rollout_steps": "32", "schedule": "linear"}, {"schedule": "0.5"}, {})
    trials = [Trial(number, "a", "Completed", -number, each) for number, each in enumerate(settings)]
    assert make_study(trials).best_params == {"rollout_steps": 32.0, "schedule": "linear"}


def test_a_spec_with_several_trials_is_submitted_as_a_search(aws, tmp_path, capsys, small_dataset):
    spec_to_json(replace(TUNING_SPEC, dataset=str(small_dataset.folder)), tmp_path / "spec.json")
    words = ["job", "submit", str(tmp_path / "spec.json"), "--n_trials", "50", "--n_parallel", "5", "--dry_run"]
    assert main(words) == 0
    shown = json.loads(capsys.readouterr().out)["request"]
    assert "50 trials" in shown["price"]
    config = shown["calls"][-1]["request"]["HyperParameterTuningJobConfig"]
    assert config["ResourceLimits"]["MaxNumberOfTrainingJobs"] == 50


def test_command_lists_trials(story, capsys, tmp_path):
    story.trials[NAME] = [summarise(0, 0.25), summarise(1, 0.5)]
    assert main(["job", "trials", NAME, "--json", "--output_dir", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["score"] for row in rows] == [0.5, 0.25]
    assert {path.name for path in tmp_path.iterdir()} == {"trials.csv", "trials.png"}


def test_names_of_searches_are_short_and_new():
    names = {name_job(TUNING_SPEC) for _ in range(20)}
    assert len(names) == 20
    assert all(len(name) <= MAX_SEARCH_NAME for name in names)
