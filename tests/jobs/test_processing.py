"""The generation of a dataset as a job: sent by the command, looked at, listed, stopped, over HTTP."""

import json
import time
from datetime import UTC, datetime, timedelta

import boto3
import pytest

from roadsense.jobs.commands import main
from roadsense.jobs.cost import list_price
from roadsense.jobs.processing import describe_processing
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_logs import PROCESSING_GROUP
from roadsense.jobs.target import JobState
from tests.jobs.conftest import REGION
from tests.jobs.recorded_calls import record_calls
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_iam import ACTIONS, actions, read_policy
from tests.jobs.test_sagemaker_request import IMAGE, ROLE, SPEC

NAME = "roadsense-generate-1"


@pytest.fixture
def story(aws, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROADSENSE_OWNER", "ann")
    with told(Story(processing=("InProgress", "", ""))) as story:
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield story


@pytest.fixture
def words(tiny_bases):
    settings = ["--base_dir", str(tiny_bases), "--n_train", "80", "--n_shards", "4", "--density", "0.6", "0.9"]
    job = ["--name", NAME, "--image", IMAGE, "--role", ROLE, "--output", "s3://bucket/roads", "--max_hours", "1"]
    return ["generate", *settings, *job]


def test_nothing_is_sent_unless_it_is_asked_for(story, words, capsys):
    assert main(words) == 0
    shown = capsys.readouterr()
    plan = json.loads(shown.out)
    assert plan["calls"][1]["operation"] == "CreateProcessingJob"
    assert "USD" in plan["estimate"]
    assert "100 scenarios on 4 x 36 cores" in plan["time"]
    assert "Nothing was sent" in shown.err
    assert boto3.client("sagemaker").list_processing_jobs()["ProcessingJobSummaries"] == []
    assert "Contents" not in boto3.client("s3").list_objects_v2(Bucket="bucket")


def test_what_is_shown_is_what_arrives(story, words, capsys, tiny_bases):
    assert main(words) == 0
    request = json.loads(capsys.readouterr().out)["calls"][1]["request"]
    assert main([*words, "--submit"]) == 0
    assert capsys.readouterr().out == f"{NAME}\n"
    arrived = boto3.client("sagemaker").describe_processing_job(ProcessingJobName=NAME)
    names = ("ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources", "StoppingCondition",
             "AppSpecification", "Environment", "NetworkConfig", "RoleArn")  # fmt: skip
    assert {name: arrived[name] for name in names} == {name: request[name] for name in names}
    tags = boto3.client("sagemaker").list_tags(ResourceArn=arrived["ProcessingJobArn"])["Tags"]
    assert {"project", "roadsense:job", "roadsense:owner", "roadsense:deadline"} <= {tag["Key"] for tag in tags}
    place = request["ProcessingInputs"][0]["S3Input"]["S3Uri"].removeprefix("s3://bucket/")
    rows = boto3.client("s3").list_objects_v2(Bucket="bucket", Prefix=place)["Contents"]
    own = {f"{place}bases/{path.relative_to(tiny_bases)}" for path in tiny_bases.rglob("*") if path.is_file()}
    assert {row["Key"] for row in rows} == own


def test_a_name_is_used_once(story, words, capsys):
    assert main([*words, "--submit"]) == 0
    assert main([*words, "--submit"]) == 1
    assert "unique" in capsys.readouterr().err


def test_it_is_looked_at_stopped_and_listed_like_every_job(story, words, capsys):
    main([*words, "--submit"])
    SageMakerTarget().submit(SPEC)
    capsys.readouterr()
    assert main(["status", NAME]) == 0
    status = json.loads(capsys.readouterr().out)
    assert (status["state"], status["output"]) == ("running", f"s3://bucket/roads/jobs/{NAME}/shards")
    assert main(["list", "--target", "sagemaker"]) == 0
    assert NAME in capsys.readouterr().out
    assert main(["list", "--all", "--target", "sagemaker", "--json"]) == 0
    assert {job["name"] for job in json.loads(capsys.readouterr().out)} == {NAME, SPEC.name}
    assert main(["stop", NAME, "--wait"]) == 0
    assert "stopped" in capsys.readouterr().err
    assert main(["fetch", NAME, "--folder", "scenarios/big"]) == 1
    assert "has stopped, so nothing is put together" in capsys.readouterr().err
    assert main(["resume", NAME]) == 2


def test_the_policies_allow_every_call_of_it(story, words, monkeypatch):
    made = record_calls(monkeypatch)
    assert main([*words, "--submit"]) == 0
    for command in (["status", NAME], ["logs", NAME], ["list", "--all", "--target", "sagemaker"], ["stop", NAME]):
        assert main(command) == 0
    needed = {ACTIONS.get(call, call) for call in made}
    assert {"sagemaker:CreateProcessingJob", "sagemaker:StopProcessingJob", "sagemaker:ListProcessingJobs"} <= needed
    assert sorted(needed - actions(read_policy("sagemaker-submitter"))) == []


def test_others_jobs_are_listed_only_if_they_are_asked_for(story, words, monkeypatch):
    main([*words, "--submit"])
    monkeypatch.setenv("ROADSENSE_OWNER", "bob")
    target = SageMakerTarget()
    assert target.list_jobs(everyone=False) == []
    assert [job.name for job in target.list_jobs(everyone=True)] == [NAME]


def test_lines_of_several_machines_say_whose_they_are(story, words, capsys, monkeypatch):
    monkeypatch.setattr("roadsense.jobs.sagemaker_logs.POLL_S", 0.01)
    main([*words, "--submit"])
    logs, now_ms = boto3.client("logs"), int(time.time() * 1000)
    logs.create_log_group(logGroupName=PROCESSING_GROUP)
    for number in range(1, 61):  # more than are listed at once
        stream = f"{NAME}/algo-{number}-1700000000"
        logs.create_log_stream(logGroupName=PROCESSING_GROUP, logStreamName=stream)
        events = [{"timestamp": now_ms, "message": f"proving {number}"}]
        logs.put_log_events(logGroupName=PROCESSING_GROUP, logStreamName=stream, logEvents=events)
    story.processing = ("Failed", "shard 3 of 4: no room", "AlgorithmError")
    capsys.readouterr()
    assert main(["logs", NAME, "--follow"]) == 1
    shown = capsys.readouterr()
    assert set(shown.out.splitlines()) == {f"algo-{number}: proving {number}" for number in range(1, 61)}
    assert "shard 3 of 4: no room" in shown.err


def test_what_all_machines_cost_is_told():
    start = datetime(2026, 1, 2, 12, tzinfo=UTC)
    job = {
        "ProcessingJobName": NAME,
        "ProcessingJobStatus": "Completed",
        "ProcessingStartTime": start,
        "ProcessingEndTime": start + timedelta(minutes=30),
        "ProcessingResources": {"ClusterConfig": {"InstanceType": "ml.c5.9xlarge", "InstanceCount": 4}},
    }
    status = describe_processing(job, REGION)
    price = list_price("ml.c5.9xlarge", REGION)
    assert status.usd == pytest.approx(4 * 0.5 * price.usd_per_hour)
    assert (status.state, status.started, status.ended) == ("done", "2026-01-02T12:00:00Z", "2026-01-02T12:30:00Z")
    waiting = describe_processing(job | {"ProcessingJobStatus": "InProgress", "ProcessingStartTime": None}, REGION)
    assert (waiting.state, waiting.usd) == (JobState.WAITING, 0.0)
