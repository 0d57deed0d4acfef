"""Jobs on SageMaker against a stand-in for AWS over HTTP: sent, followed, stopped, fetched, listed."""

import hashlib
import io
import json
import os
import re
import resource
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.sagemaker.models import sagemaker_backends
from moto.sagemaker.responses import SageMakerResponse
from sagemaker.core.resources import Base

from roadsense.cloud.checksums import CHECKSUMS_NAME, TransferError, check_checksums
from roadsense.cloud.downloads import unpack_archive
from roadsense.cloud.session import CloudError
from roadsense.errors import InputError
from roadsense.jobs.aws.sagemaker.logs import GROUP
from roadsense.jobs.aws.sagemaker.plan import EXTRA_S, plan_job
from roadsense.jobs.aws.sagemaker.target import SageMakerTarget
from roadsense.jobs.job import Job
from roadsense.jobs.records import write_record
from roadsense.jobs.target import JobError, JobState
from tests.jobs.sagemaker_stand_in import NameInUse, Story, told
from tests.jobs.small_notebooks import start_job, write_notebook
from tests.jobs.test_sagemaker_request import SPEC, TUNING_SPEC, search

REGION = "eu-central-1"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def story(aws):
    with told(Story()) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield story


def submit(spec):
    target = SageMakerTarget()
    return target.submit(target.plan(spec))


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
    plan = target.plan(SPEC)
    told_request = plan.describe()["calls"][-1]["request"]
    job = target.submit(plan)
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
    submit(SPEC)
    with pytest.raises(Exception, match="unique"):
        submit(SPEC)


def test_a_job_is_followed_through_its_phases_to_its_end(story, monkeypatch):
    monkeypatch.setattr("roadsense.jobs.aws.sagemaker.logs.POLL_S", 0.01)
    story.steps = [
        ("InProgress", "Starting", ""),
        ("InProgress", "Training", ""),
        ("InProgress", "Uploading", ""),
        ("Failed", "Failed", "AlgorithmError: In [4]: InputError"),
    ]
    target = SageMakerTarget()
    job = submit(SPEC)
    say(job, "first line", "roadsense_metric eval_score=0.5")
    assert list(target.logs(job, follow=True)) == ["first line", "roadsense_metric eval_score=0.5"]
    status = target.status(job)
    assert (status.state, status.phase) == (JobState.FAILED, f"Failed, {REGION}")
    assert "InputError" in status.reason
    assert status.output.endswith(f"roads/jobs/{job}")


def test_a_job_that_starts_is_waiting_and_prints_nothing(story):
    story.steps = [("InProgress", "Starting", "")]
    target = SageMakerTarget()
    job = submit(SPEC)
    assert target.status(job).state is JobState.WAITING
    assert list(target.logs(job, follow=False)) == []


def test_a_job_is_stopped_once(story):
    story.steps = [("InProgress", "Training", "")]
    target = SageMakerTarget()
    job = submit(SPEC)
    target.stop(job)
    assert target.status(job).state is JobState.STOPPED
    target.stop(job)


def test_an_unknown_job_is_named(story):
    with pytest.raises(InputError, match="nobody"):
        SageMakerTarget().status("nobody")


def test_a_name_that_is_no_search_either_is_named(story, monkeypatch):
    message = "Amazon SageMaker can't find a tuning job called nobody. Type another name."

    def refuse(_self):
        raise NameInUse("ResourceNotFound", message)

    monkeypatch.setattr(SageMakerResponse, "describe_hyper_parameter_tuning_job", refuse)
    with pytest.raises(InputError, match="nobody"):
        SageMakerTarget().status("nobody")


@pytest.mark.parametrize("status", ["InProgress", "Completed"])
def test_a_job_that_runs_or_is_done_is_not_resumed(story, tmp_path, monkeypatch, status):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    story.steps = [(status, "Training", "")]
    job = Job(SPEC)
    job.submit()
    with pytest.raises(InputError, match="stopped or failed"):
        Job.find(job.name).resume()
    story.ends[job.name] = ("Stopped", "Stopped", "")
    assert Job.find(job.name).resume().name == f"{job.name}-2"


def test_a_job_that_was_resumed_is_not_resumed_again(story, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    job = Job(SPEC)
    job.submit()
    story.ends[job.name] = ("Stopped", "Stopped", "")
    job.resume().submit()
    with pytest.raises(InputError, match=f"already resumed, as {job.name}-2"):
        Job.find(job.name).resume()


def test_a_job_that_aws_refuses_leaves_no_record_and_hides_no_other(story, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notebooks").symlink_to(ROOT / "notebooks")
    Job(SPEC).submit()

    def refuse(_self):
        raise NameInUse("ResourceLimitExceeded", "The account-level service limit is 0 Instances")

    monkeypatch.setattr(SageMakerResponse, "create_training_job", refuse)
    with pytest.raises(CloudError, match="ResourceLimitExceeded"):
        Job(replace(SPEC, name="roadsense-refused")).submit()
    with pytest.raises(InputError, match="submitted from this folder"):
        Job.find("roadsense-refused")
    write_record(replace(SPEC, name="roadsense-of-another-account"), "roadsense-of-another-account")
    assert [job.name for job in SageMakerTarget().list_jobs(everyone=False)] == [SPEC.name]


def test_results_are_fetched_whole(story, tmp_path):
    target = SageMakerTarget()
    job = submit(SPEC)
    with pytest.raises(JobError, match="no results"):
        target.fetch(job, tmp_path / "early")
    leave(job, model__zip=b"weights", config__json=b"{}")
    folder = target.fetch(job, tmp_path / "fetched")
    assert (folder / "model" / "model.zip").read_bytes() == b"weights"
    with pytest.raises(InputError, match="new folder"):
        target.fetch(job, folder)


def test_a_model_without_its_checksums_is_refused(story, tmp_path):
    target = SageMakerTarget()
    job = submit(SPEC)
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
    job = submit(SPEC)
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
    job = submit(SPEC)
    leave(job, model__zip=os.urandom(100_000))
    s3, key = boto3.client("s3"), f"roads/jobs/{job}/output/model.tar.gz"
    whole = s3.get_object(Bucket="bucket", Key=key)["Body"].read()
    s3.put_object(Bucket="bucket", Key=key, Body=whole[: len(whole) // 2])
    with pytest.raises(TransferError, match="cannot be unpacked"):
        target.fetch(job, tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_full_disk_is_no_fault_of_the_archive(tmp_path):
    (tmp_path / "model.zip").write_bytes(os.urandom(5000))
    with tarfile.open(tmp_path / "good.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "model.zip", arcname="model.zip")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            unpack_archive(tmp_path / "good.tar.gz", tmp_path / "folder")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("place", [200, 5000, -6])
def test_a_changed_byte_in_an_archive_is_noticed(place, tmp_path):
    (tmp_path / "notes.txt").write_text("".join(f"{number} steps\n" for number in range(5000)))
    with tarfile.open(tmp_path / "good.tar.gz", "w:gz") as packed:
        packed.add(tmp_path / "notes.txt", arcname="notes.txt")
    content = bytearray((tmp_path / "good.tar.gz").read_bytes())
    content[place] ^= 8
    (tmp_path / "bad.tar.gz").write_bytes(content)
    with pytest.raises(TransferError, match="cannot be unpacked"):
        unpack_archive(tmp_path / "bad.tar.gz", tmp_path / "folder")


def test_an_archive_cannot_write_outside_its_folder(tmp_path):
    with tarfile.open(tmp_path / "bad.tar.gz", "w:gz") as archive:
        info = tarfile.TarInfo("../outside")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(TransferError, match="unpacked"):
        unpack_archive(tmp_path / "bad.tar.gz", tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


def test_what_the_sdk_adds_by_defaults_of_its_own_is_not_sent(story, monkeypatch):
    network = {"SecurityGroupIds": ["sg-0123456789"], "Subnets": ["subnet-0123456789"]}
    own = Base.populate_chained_attributes

    def _add(resource_name, operation_input_args):
        added = {"VpcConfig": network} if resource_name == "TrainingJob" else {}
        return {**own(resource_name, operation_input_args), **added}

    monkeypatch.setattr(Base, "populate_chained_attributes", _add)
    arrived = boto3.client("sagemaker").describe_training_job(TrainingJobName=submit(SPEC))
    assert "VpcConfig" not in arrived


def test_a_search_arrives_as_described_and_is_a_job(story):
    target = SageMakerTarget()
    story.takes_time = True
    name = submit(search(n_trials=50, n_parallel=5, search_seed=1))
    arrived = boto3.client("sagemaker").describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    limits = arrived["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxNumberOfTrainingJobs": 50, "MaxParallelTrainingJobs": 5}
    assert target.status(name).state is JobState.RUNNING
    del story.tuning[name]
    target.stop(name)
    assert target.status(name).state in (JobState.STOPPED, JobState.DONE)


def test_the_list_of_all_has_trainings_and_searches_of_every_region(story):
    boto3.client("s3", "us-east-1").create_bucket(Bucket="elsewhere")
    story.steps = [("InProgress", "Training", "")]
    story.takes_time = True
    submit(SPEC)
    submit(TUNING_SPEC)
    away = replace(SPEC, name="roadsense-away", region="us-east-1", output="s3://elsewhere")
    SageMakerTarget("us-east-1").submit(SageMakerTarget("us-east-1").plan(away))
    boto3.client("sagemaker").create_training_job(
        **{
            **plan_job(replace(SPEC, name="roadsense-other")).request.content,
            "Tags": [{"Key": "project", "Value": "trucks"}],
        }
    )
    backend = sagemaker_backends["123456789012"]
    backend[REGION].hyper_parameter_tuning_jobs[TUNING_SPEC.name].hyper_parameter_tuning_job_status = "InProgress"
    found = {job.name: job for job in SageMakerTarget().list_jobs(everyone=True)}
    assert {SPEC.name, TUNING_SPEC.name, "roadsense-away"} <= set(found)
    assert "us-east-1" in found["roadsense-away"].phase
    assert "roadsense-other" not in found


def test_a_budget_limits_every_trial(story):
    plan = plan_job(replace(TUNING_SPEC, max_usd=30.0, max_hours=24.0))
    limit_s = plan.request.content["TrainingJobDefinition"]["StoppingCondition"]["MaxRuntimeInSeconds"]
    usd, usd_per_hour = (float(text) for text in re.findall(r"([\d.]+) USD", plan.price)[:2])
    assert 29.9 < usd <= 30.0
    assert 20 * (limit_s + EXTRA_S) / 3600 * usd_per_hour <= 30.0 + 0.01


def test_the_budget_shown_before_counts_the_seeds(story):
    one, three = (plan_job(replace(search(seeds=seeds), max_hours=2.0)) for seeds in ((), (0, 1, 2)))
    usd = [float(re.search(r"at most ([\d.]+) USD", plan.price)[1]) for plan in (one, three)]
    extra_hours = 20 * EXTRA_S / 3600  # AWS charges downloads, stop and upload too
    assert usd[1] / usd[0] == pytest.approx((20 * 6 + extra_hours) / (20 * 2 + extra_hours), abs=0.001)
    limits = [
        plan.request.content["TrainingJobDefinition"]["StoppingCondition"]["MaxRuntimeInSeconds"]
        for plan in (one, three)
    ]
    assert limits == [7200, 3 * 7200]
    assert "20 trials of 3 seeds each are 60 trainings, at most 6 h a trial" in three.price
    assert "4 at the same time, at most 30 h in all" in three.price
    assert three.spec.max_hours == 2.0  # of one training, as it was given
