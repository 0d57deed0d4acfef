"""`05_sagemaker` and `06_tune` without AWS, and against a stand-in for it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import boto3
import nbformat
import pytest

from roadsense.errors import InputError
from roadsense.evaluation.results import find_evaluations, open_evaluation
from roadsense.jobs.aws.sagemaker.plan import plan_job
from roadsense.jobs.job import Job
from roadsense.jobs.runner import run_notebook
from roadsense.jobs.target import JobState
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.small_notebooks import ROOT, printed
from tests.jobs.test_sagemaker import REGION, leave
from tests.jobs.test_sagemaker_request import SPEC, search
from tests.jobs.test_sagemaker_trials import summarise
from tests.jobs.test_tuning_job import TINY
from tests.jobs.tuner_engine import Engine
from tests.small_training import train_tiny, wait_until

TRAINING, TUNING = (ROOT / "notebooks" / f"{name}.ipynb" for name in ("05_sagemaker", "06_tune"))


@pytest.fixture
def story(aws, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setattr("roadsense.jobs.job.LOOK_EVERY_S", 0.01)
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield story


@pytest.mark.parametrize(
    ("notebook", "operation"), [(TRAINING, "CreateTrainingJob"), (TUNING, "CreateHyperParameterTuningJob")]
)
def test_a_dry_run_shows_the_request_without_aws(no_aws, tmp_path, notebook, operation):
    executed = run_notebook(notebook, tmp_path / "executed.ipynb", {"dataset": ""})
    text = printed(executed)
    assert operation in text
    for what in ("region", "role", "output", "image", "credentials"):
        assert f"Missing: {what}" in text
    assert "nothing was started" in text


def test_a_training_is_submitted_followed_and_downloaded(story):
    job = Job(replace(SPEC, dataset=None))
    assert job.request()["price"] == job.price()
    job.submit()
    assert job.follow(picture=True).state is JobState.DONE
    leave(job.name, model__zip=b"weights")
    assert (job.fetch_run() / "model.zip").read_bytes() == b"weights"
    assert Job.find(job.name).status().state is JobState.DONE


def test_a_stopped_training_resumes_under_a_new_name_with_its_checkpoints(story):
    story.ends |= {name: ("Stopped", "Stopped", "") for name in (SPEC.name, f"{SPEC.name}-2")}
    job = Job(replace(SPEC, dataset=None))
    job.submit()
    resumed = job.resume()
    assert resumed.submit() == f"{SPEC.name}-2"
    arrived = [
        boto3.client("sagemaker").describe_training_job(TrainingJobName=name) for name in (job.name, resumed.name)
    ]
    assert arrived[0]["CheckpointConfig"] == arrived[1]["CheckpointConfig"]
    assert Job.find(resumed.name).resume().name == f"{SPEC.name}-3"


def test_the_best_of_many_trials_is_downloaded(story):
    job = Job(replace(search(n_trials=3, n_parallel=3), dataset=None))
    job.submit()
    story.trials[job.name] = [summarise(number, score) for number, score in enumerate((0.1, 0.7, 0.3))]
    assert job.follow(picture=True).state is JobState.DONE
    assert [trial.score for trial in job.trials()] == [0.7, 0.3, 0.1]
    best = job.trials()[0].job
    boto3.client("sagemaker").create_training_job(**plan_job(replace(SPEC, name=best)).request.content)
    leave(best, model__zip=b"best")
    assert (job.fetch_run() / "model.zip").read_bytes() == b"best"


def test_what_lacks_something_is_not_submitted(story):
    for changes in ({}, {"search": {"n_trials": 2, "n_parallel": 2}}):
        job = Job.draft(notebook="01_train", target="sagemaker", output="s3://bucket/roads", **changes)
        assert any(sentence.startswith("image: ") for sentence in job.check())
        with pytest.raises(InputError, match="image"):
            job.submit()


@pytest.mark.slow
def test_the_notebook_goes_from_the_request_to_the_best_trial_judged_beside_the_default(story, small_dataset, tmp_path):
    default = train_tiny(tmp_path / "default", dataset_dir=str(small_dataset.folder), total_timesteps=64)
    story.takes_time = True
    with ThreadPoolExecutor(1) as pool:
        played = pool.submit(_play_when_asked, story, tmp_path / "containers")
        given = {
            "parameters": TINY, "dataset": str(small_dataset.folder),
            "output": "s3://bucket/roads", "image": SPEC.image, "role": SPEC.role, "region": REGION,
            "max_hours": 1.0, "n_trials": 4, "n_parallel": 2, "dry_run": False, "split_episodes": 0,
            "dataset_dir": str(small_dataset.folder / "eval"), "beside": [str(default.folder)],
            "episodes_per_scenario": 1, "curve_episodes": 0, "surroundings_episodes": 0,
        }  # fmt: skip
        executed = run_notebook(TUNING, tmp_path / "executed.ipynb", given)
        trials = played.result()
    text = printed(executed)
    assert "4 trials, at most 1 h a trial; 2 at the same time, at most 2 h in all" in text
    assert max(trials, key=lambda trial: trial.values[-1]).job in text
    assert "default" in nbformat.writes(nbformat.read(executed, as_version=4))
    shown = [out for cell in nbformat.read(executed, 4).cells for out in cell.get("outputs", [])]
    pictures = [out for out in shown if "image/png" in out.get("data", {})]
    assert len(pictures) == 3  # the trials, the training's curves, the differences
    (run,) = (path for path in (tmp_path / "runs").glob("*/model") if path.parent.parent.name != "jobs")
    evaluation = open_evaluation(find_evaluations(run)[0])
    assert {"policy", "default"} <= set(evaluation.summary["policy"])


def _play_when_asked(story, folder):
    wait_until(lambda: story.requests)
    ((name, request),) = story.requests.items()
    trials = Engine(request, story, folder).play(n_real=1, n_failing=0)
    story.tuning[name] = "Completed"
    return trials
