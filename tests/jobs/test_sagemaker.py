"""Jobs on SageMaker against a stand-in for AWS over HTTP: sent, followed, stopped, fetched, listed."""

import hashlib
import io
import json
import os
import tarfile
import time
from dataclasses import replace

import boto3
import pytest

from roadsense.cloud.checksums import CHECKSUMS_NAME, TransferError, check_checksums
from roadsense.errors import InputError
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_logs import GROUP
from roadsense.jobs.sagemaker_plan import plan_tuning
from roadsense.jobs.sagemaker_results import unpack_archive
from roadsense.jobs.sagemaker_tuning import TuningConfig
from roadsense.jobs.target import JobError, JobState
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.small_notebooks import start_job, write_notebook
from tests.jobs.test_sagemaker_request import SPEC, TUNING_SPEC

REGION = "eu-central-1"


@pytest.fixture
def story(aws):
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield story


def say(job, *lines):
    logs = boto3.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=GROUP)["logGroups"]:
        logs.create_log_group(logGroupName=GROUP)
    stream = f"{job}/algo-1-1"
    logs.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    now_ms = int(time.time() * 1000)
    events = [{"timestamp": now_ms + number, "message": line} for number, line in enumerate(lines)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


def leave(job, **files):
    """Puts the archive of a job's model folder where SageMaker would, with checksums as the runner writes them."""
    sums = {name.replace("__", "."): hashlib.sha256(content).hexdigest() for name, content in files.items()}
    files = {CHECKSUMS_NAME: json.dumps(sums).encode(), **files}
    pack(job, **files)


def pack(job, **files):
    """Puts an archive of these files where SageMaker would put that of a job's model folder."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    key = f"roads/jobs/{job}/output/model.tar.gz"
    boto3.client("s3").put_object(Bucket="bucket", Key=key, Body=packed.getvalue())


def test_what_is_described_is_what_arrives(story):
    target = SageMakerTarget()
    told_request = target.describe_request(SPEC)["calls"][-1]["request"]
    job = target.submit(SPEC)
    arrived = boto3.client("sagemaker").describe_training_job(TrainingJobName=job)
    for name in ("HyperParameters", "RoleArn", "InputDataConfig", "ResourceConfig", "StoppingCondition"):
        assert arrived[name] == told_request[name]
    assert (
        arrived["AlgorithmSpecification"]["MetricDefinitions"]
        == (told_request["AlgorithmSpecification"]["MetricDefinitions"])
    )
    tags = boto3.client("sagemaker").list_tags(ResourceArn=arrived["TrainingJobArn"])["Tags"]
    keys = {tag["Key"] for tag in tags}
    assert {"project", "roadsense:job", "roadsense:owner", "roadsense:deadline", "roadsense:dataset-digest"} <= keys


def test_a_name_is_used_once(story):
    target = SageMakerTarget()
    target.submit(SPEC)
    with pytest.raises(Exception, match="unique"):
        target.submit(SPEC)


def test_a_job_is_followed_through_its_phases_to_its_end(story, monkeypatch):
    monkeypatch.setattr("roadsense.jobs.sagemaker_logs.POLL_S", 0.01)
    story.steps = [
        ("InProgress", "Starting", ""),
        ("InProgress", "Training", ""),
        ("InProgress", "Uploading", ""),
        ("Failed", "Failed", "AlgorithmError: In [4]: InputError"),
    ]
    target = SageMakerTarget()
    job = target.submit(SPEC)
    say(job, "first line", "roadsense_metric eval_score=0.5")
    assert list(target.logs(job, follow=True)) == ["first line", "roadsense_metric eval_score=0.5"]
    status = target.status(job)
    assert (status.state, status.phase) == (JobState.FAILED, "Failed")
    assert "InputError" in status.reason
    assert status.output.endswith(f"roads/jobs/{job}")


def test_a_job_that_starts_is_waiting_and_prints_nothing(story):
    story.steps = [("InProgress", "Starting", "")]
    target = SageMakerTarget()
    job = target.submit(SPEC)
    assert target.status(job).state is JobState.WAITING
    assert list(target.logs(job, follow=False)) == []


def test_a_job_is_stopped_once(story):
    story.steps = [("InProgress", "Training", "")]
    target = SageMakerTarget()
    job = target.submit(SPEC)
    target.stop(job)
    assert target.status(job).state is JobState.STOPPED
    target.stop(job)


def test_an_unknown_job_is_named(story):
    with pytest.raises(InputError, match="nobody"):
        SageMakerTarget().status("nobody")


def test_results_are_fetched_whole(story, tmp_path):
    target = SageMakerTarget()
    job = target.submit(SPEC)
    with pytest.raises(JobError, match="no results"):
        target.fetch(job, tmp_path / "early")
    leave(job, model__zip=b"weights", config__json=b"{}")
    folder = target.fetch(job, tmp_path / "fetched")
    assert (folder / "model" / "model.zip").read_bytes() == b"weights"
    with pytest.raises(InputError, match="new folder"):
        target.fetch(job, folder)


def test_a_model_without_its_checksums_is_refused(story, tmp_path):
    target = SageMakerTarget()
    job = target.submit(SPEC)
    pack(job, model__zip=b"weights")
    with pytest.raises(TransferError, match="the job ended before it wrote it"):
        target.fetch(job, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_what_the_runner_leaves_is_fetched_and_one_changed_byte_of_it_is_refused(story, tmp_path):
    notebook = write_notebook(tmp_path, "print('done')")
    ended = start_job(tmp_path / "ml", notebook, {})
    assert ended.end()[0] == 0
    left = {path.name: path.read_bytes() for path in ended.layout.model_dir.iterdir()}
    assert set(left) == {"small.ipynb", CHECKSUMS_NAME}
    target = SageMakerTarget()
    job = target.submit(SPEC)
    pack(job, **left)
    folder = target.fetch(job, tmp_path / "fetched")
    assert check_checksums(folder / "model") == 1
    executed = left["small.ipynb"]
    pack(job, **left | {"small.ipynb": executed.replace(b"done", b"gone", 1)})
    with pytest.raises(TransferError, match=r"changed: small\.ipynb"):
        target.fetch(job, tmp_path / "damaged")
    pack(job, **{CHECKSUMS_NAME: left[CHECKSUMS_NAME]})
    with pytest.raises(TransferError, match=r"missing: small\.ipynb"):
        target.fetch(job, tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists()


def test_an_archive_that_was_cut_off_is_refused(story, tmp_path):
    target = SageMakerTarget()
    job = target.submit(SPEC)
    leave(job, model__zip=os.urandom(100_000))
    s3, key = boto3.client("s3"), f"roads/jobs/{job}/output/model.tar.gz"
    whole = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
    s3.put_object(Bucket="bucket", Key=key, Body=whole[: len(whole) // 2])
    with pytest.raises(TransferError, match="cannot be unpacked"):
        target.fetch(job, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(TransferError, match="unpacked"):
        unpack_archive(tmp_path / "bad.tar.gz", tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


def test_a_tuning_job_arrives_as_described(story):
    target = SageMakerTarget()
    name = target.submit_tuning(TUNING_SPEC, TuningConfig(n_trials=50, n_parallel=5, seed=1))
    arrived = boto3.client("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    limits = arrived["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 5}


def test_a_budget_limits_every_trial(story):
    target = SageMakerTarget()
    spec = replace(TUNING_SPEC, max_usd=30.0, max_hours=24.0)
    plan = plan_tuning(spec, TuningConfig(n_trials=20))
    limit_s = plan.request["TrainingJobDefinition"]["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert plan.estimate.usd == pytest.approx(30.0, rel=0.01)
    assert 20 * limit_s / 3600 * plan.estimate.usd_per_hour <= 30.0
    assert json.dumps(target.describe_request(SPEC))


def test_the_budget_shown_before_counts_the_seeds(story):
    spec = replace(TUNING_SPEC, max_hours=2.0)
    one, three = (plan_tuning(spec, TuningConfig(n_trials=20, n_parallel=4, seeds=seeds)) for seeds in ((), (0, 1, 2)))
    assert three.estimate.usd == pytest.approx(3 * one.estimate.usd)
    assert three.estimate.hours == 3 * one.estimate.hours == 120
    limits = [
        plan.request["TrainingJobDefinition"]["StoppingCondition"]["MaxRuntimeInSeconds"] for plan in (one, three)
    ]
    assert limits == [7200, 3 * 7200]
    said = three.describe()["estimate"]
    assert "20 trials of 3 seeds each are 60 trainings, at most 6 h a trial" in said
    assert "4 at a time, at most 30 h by the clock" in said
    bounded = plan_tuning(replace(spec, max_usd=30.0), TuningConfig(n_trials=20, seeds=(0, 1, 2)))
    assert bounded.estimate.usd == pytest.approx(30.0, rel=0.01)
