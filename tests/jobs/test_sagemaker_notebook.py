"""`05_sagemaker` without AWS, and what it calls against a stand-in for it."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import boto3
import nbformat
import pytest

from roadsense.errors import InputError
from roadsense.evaluation.results import find_evaluations, open_evaluation
from roadsense.jobs.preparation import Preparation
from roadsense.jobs.runner import run_notebook
from roadsense.jobs.sagemaker_notebook import fetch, follow, prepare_tuning, start
from roadsense.jobs.sagemaker_tuning import TuningConfig
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.small_notebooks import printed
from tests.jobs.test_sagemaker import REGION, leave
from tests.jobs.test_sagemaker_request import SPEC
from tests.jobs.test_sagemaker_trials import summarise
from tests.jobs.test_tuning_job import TINY
from tests.jobs.tuner_engine import Engine
from tests.small_training import train_tiny, wait_until

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


@pytest.mark.slow
def test_the_notebook_goes_from_the_request_to_the_best_trial_judged_beside_the_default(
    story, small_dataset, tmp_path, monkeypatch
):
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(NOTEBOOK.parents[1] / name)
    default = train_tiny(tmp_path / "default", dataset_dir=str(small_dataset.folder), total_timesteps=64)
    story.takes_time = True
    with ThreadPoolExecutor(1) as pool:
        played = pool.submit(_play_when_asked, story, tmp_path / "containers")
        given = {
            "parameters": TINY, "dataset": str(small_dataset.folder),
            "output": "s3://bucket/roads", "image": SPEC.image, "role": SPEC.role, "region": REGION,
            "max_hours": 1.0, "n_trials": 4, "n_parallel": 2, "dry_run": False, "split_episodes": 0,
            "dataset_dir": str(small_dataset.folder / "eval"), "beside": [str(default.folder)],
            "episodes_per_scenario": 1, "curve_episodes": 0,
        }  # fmt: skip
        executed = run_notebook(NOTEBOOK, tmp_path / "executed.ipynb", given)
        trials = played.result()
    text = printed(executed)
    assert "4 trials, at most 1 h a trial; 2 at a time, at most 2 h by the clock" in text
    assert max(trials, key=lambda trial: trial.values[-1]).job in text
    assert "default" in nbformat.writes(nbformat.read(executed, as_version=4))
    shown = [out for cell in nbformat.read(executed, 4).cells for out in cell.get("outputs", [])]
    pictures = [out for out in shown if "image/png" in out.get("data", {})]
    assert len(pictures) == 3  # the trials, the training's curves, the differences
    (run,) = (tmp_path / "runs").glob("*/model")
    evaluation = open_evaluation(find_evaluations(run)[0])
    assert {"policy", "default"} <= set(evaluation.summary["policy"])


def _play_when_asked(story, folder):
    wait_until(lambda: story.requests)
    ((name, request),) = story.requests.items()
    trials = Engine(request, story, folder).play(n_real=1, n_failing=0)
    story.tuning[name] = "Completed"
    return trials


def test_what_lacks_something_is_not_sent(story):
    lacking = Preparation(SPEC, ("role: an ARN.",), {})
    for tuning in (None, TuningConfig(n_trials=2, n_parallel=2)):
        with pytest.raises(InputError, match="role"):
            start(lacking, tuning)


def _request(name):
    from roadsense.jobs.sagemaker_plan import plan_training

    return plan_training(replace(SPEC, name=name)).request
