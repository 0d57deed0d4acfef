"""`05_sagemaker` without AWS, and what it calls against a stand-in for it."""

import json
from dataclasses import replace
from pathlib import Path

import boto3
import nbformat
import pytest

from roadsense.errors import InputError
from roadsense.jobs.preparation import Preparation
from roadsense.jobs.runner import run_notebook
from roadsense.jobs.sagemaker_notebook import fetch, follow, prepare_tuning, start
from roadsense.jobs.sagemaker_tuning import TuningConfig
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_sagemaker import REGION, leave
from tests.jobs.test_sagemaker_request import SPEC
from tests.jobs.test_sagemaker_trials import summarise

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_sagemaker.ipynb"


@pytest.fixture
def story(aws, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("roadsense.jobs.sagemaker_notebook.LOOK_EVERY_S", 0.01)
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield story


def prepared(**changes):
    return Preparation(replace(SPEC, **changes), (), {})


@pytest.mark.parametrize(
    ("parameters", "operation"),
    [({}, "CreateTrainingJob"), ({"n_trials": 20, "n_parallel": 4}, "CreateHyperParameterTuningJob")],
)
def test_a_dry_run_shows_the_request_without_aws(no_aws, tmp_path, parameters, operation):
    executed = run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", {"dataset": "", **parameters})
    cells = nbformat.read(executed, as_version=4).cells
    printed = "".join(output.get("text", "") for cell in cells for output in cell.get("outputs", []))
    assert operation in printed
    for what in ("region", "role", "output", "image", "credentials"):
        assert f"Missing: {what}" in printed
    assert "nothing was started" in printed


def test_a_training_is_sent_followed_and_fetched(story):
    ready = prepared()
    started = start(ready, None)
    assert follow(ready, started)[0]["status"] == "done"
    leave(started.name, model__zip=b"weights")
    assert (fetch(ready, started) / "model.zip").read_bytes() == b"weights"


def test_the_best_of_many_trials_is_fetched(story):
    config = TuningConfig(n_trials=3, n_parallel=3)
    ready = prepare_tuning(prepared(parameters={"total_timesteps": 5000}), config)
    assert json.dumps(ready.request["calls"])
    started = start(ready, config)
    story.trials[started.name] = [summarise(number, score) for number, score in enumerate((0.1, 0.7, 0.3))]
    rows = follow(ready, started)
    assert [row["score"] for row in rows] == [0.7, 0.3, 0.1]
    boto3.client("sagemaker").create_training_job(**{key: value for key, value in _request(rows[0]["job"]).items()})
    leave(rows[0]["job"], model__zip=b"best")
    assert (fetch(ready, started) / "model.zip").read_bytes() == b"best"


def test_what_lacks_something_is_not_sent(story):
    lacking = Preparation(SPEC, ("role: an ARN.",), {})
    for tuning in (None, TuningConfig(n_trials=2, n_parallel=2)):
        with pytest.raises(InputError, match="role"):
            start(lacking, tuning)


def _request(name):
    from roadsense.jobs.sagemaker_plan import plan_training

    return plan_training(replace(SPEC, name=name)).request
