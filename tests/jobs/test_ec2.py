"""Jobs on EC2 against a stand-in for AWS that is spoken to over HTTP; every request is checked by its model first."""

import base64
import copy
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
import pytest
from moto.backends import get_backend
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.responses import EC2Response

from roadsense.cloud.checksums import TransferError
from roadsense.cloud.session import CloudError, CredentialsError, RegionError
from roadsense.errors import InputError
from roadsense.jobs.aws.ec2.folder import JobFolder
from roadsense.jobs.aws.ec2.requests import SECURITY_GROUP, Ec2Config, build_stop_request, read_config
from roadsense.jobs.aws.ec2.target import Ec2Target
from roadsense.jobs.spec import JobSpec
from roadsense.jobs.target import JobState, Target, open_target
from roadsense.scenarios.dataset import Dataset
from roadsense.utils.times import write_time
from tests.jobs.conftest import REGION
from tests.jobs.recorded_calls import record_calls

IMAGE = f"123456789012.dkr.ecr.{REGION}.amazonaws.com/roadsense@sha256:{'0' * 64}"
DATASET = f"s3://cars/rs/datasets/{'d' * 64}"
OUTPUT = "s3://cars/rs"
IMAGES = [
    {
        "ami_id": f"ami-{month:08d}",
        "name": f"ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server-2026{month:02d}01",
        "description": "Ubuntu 24.04 LTS",
        "owner_id": owner,
        "public": True,
        "virtualization_type": "hvm",
        "architecture": "x86_64",
        "state": "available",
        "platform": None,
        "image_type": "machine",
        "hypervisor": "xen",
        "root_device_name": "/dev/sda1",
        "root_device_type": "ebs",
        "sriov": "simple",
        "creation_date": f"2026-{month:02d}-01T00:00:00.000Z",
    }
    for month, owner in ((3, "099720109477"), (9, "099720109477"), (6, "099720109477"), (11, "123456789099"))
]
"""Of Ubuntu's publisher, and a newer one of somebody else with the same name."""


@pytest.fixture
def account(aws: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An account with a bucket and the instance profile, images of Ubuntu, and the person zoe."""
    (tmp_path / "images.json").write_text(json.dumps(IMAGES))
    monkeypatch.setenv("MOTO_AMIS_PATH", str(tmp_path / "images.json"))
    # moto reads the file once, when it is imported, and changes what it read.
    monkeypatch.setattr("moto.ec2.models.amis.AMIS", copy.deepcopy(IMAGES))
    images = get_backend("ec2")["123456789012"][REGION]
    images.amis.clear()
    images._load_amis()
    boto3.client("s3").create_bucket(Bucket="cars", CreateBucketConfiguration={"LocationConstraint": REGION})
    boto3.client("iam").create_instance_profile(InstanceProfileName="roadsense-instance")
    monkeypatch.setenv("ROADSENSE_OWNER", "zoe")
    return aws


@pytest.fixture
def target(account: str) -> Ec2Target:
    return Ec2Target(config=Ec2Config())


def spec(**changes) -> JobSpec:
    given = {"notebook": "01_train", "target": "ec2", "image": IMAGE, "output": OUTPUT, "dataset": DATASET}
    return JobSpec(**{**given, "name": "roadsense-first", "parameters": {"total_timesteps": 4096}, **changes})


def submit(target: Ec2Target, spec: JobSpec) -> str:
    return target.submit(target.plan(spec))


def machines() -> list[dict]:
    pages = boto3.client("ec2").describe_instances()["Reservations"]
    return [item for page in pages for item in page["Instances"]]


def end_machine(place: str, code: int = 0, stopped: str = "", vanished: bool = False, **files: str) -> datetime:
    """Does what a machine does at its end, but for the work; returns when it had begun, two hours before its end."""
    ec2, s3 = boto3.client("ec2"), boto3.client("s3")
    mine = [machine for machine in machines() if {"Key": "roadsense:place", "Value": place} in machine.get("Tags", [])]
    instance_id = mine[-1]["InstanceId"]
    ec2.terminate_instances(InstanceIds=[instance_id])
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    began = datetime.now(UTC).replace(microsecond=0)
    ended = "-" if vanished else write_time(began + timedelta(hours=2))
    texts = {f"attempts/{write_time(began)}": f"{write_time(began)} {ended} 1.5000 {instance_id}"}
    texts |= {"exit_code": f"{code}\n", "stopped": f"{stopped}\n" if stopped else "", "run.log": "one\ntwo\nthree"}
    for name, text in {**texts, **files}.items():
        s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=text.encode())
    return began


def test_it_is_a_target(account: str) -> None:
    target: Target = open_target("ec2", REGION)
    assert isinstance(target, Ec2Target)


def test_the_machine_is_as_it_was_asked_for(target: Ec2Target) -> None:
    job = submit(target, spec(tags={"team": "brakes"}, max_hours=2))
    assert job == f"{OUTPUT}/jobs/roadsense-first"
    (machine,) = machines()
    assert machine["InstanceType"] == "c6i.8xlarge"
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    assert machine["IamInstanceProfile"]["Arn"].endswith(":instance-profile/roadsense-instance")
    assert re.fullmatch(r"[0-9a-f]{32}", machine["ClientToken"])
    assert "KeyName" not in machine
    tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
    assert tags["project"] == "roadsense"
    assert (tags["roadsense:job"], tags["roadsense:owner"], tags["team"]) == ("roadsense-first", "zoe", "brakes")
    assert tags["roadsense:dataset-digest"] == "d" * 64
    assert re.fullmatch(r"[0-9a-f]{40}", tags.get("roadsense:git-commit", "0" * 40))
    deadline = datetime.fromisoformat(tags["roadsense:deadline"])
    assert abs(deadline - datetime.now(UTC) - timedelta(hours=2, minutes=10)) < timedelta(minutes=2)

    ec2 = boto3.client("ec2")
    attribute = {"InstanceId": machine["InstanceId"], "Attribute": "instanceInitiatedShutdownBehavior"}
    assert ec2.describe_instance_attribute(**attribute)["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    (volume,) = ec2.describe_volumes()["Volumes"]
    assert (volume["VolumeType"], volume["Encrypted"], volume["Size"]) == ("gp3", True, 60)
    assert {tag["Key"]: tag["Value"] for tag in volume["Tags"]}["roadsense:job"] == "roadsense-first"
    (group,) = ec2.describe_security_groups(GroupNames=[SECURITY_GROUP])["SecurityGroups"]
    assert group["IpPermissions"] == []
    assert [item["GroupId"] for item in machine["SecurityGroups"]] == [group["GroupId"]]
    assert machine["ImageId"].startswith("resolve:ssm:/aws/service/canonical/ubuntu/server/24.04/")


def test_what_dry_run_shows_is_what_is_sent(target: Ec2Target, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict] = []
    original = boto3.Session.client

    def listening(session, service, *args, **kwargs):
        client = original(session, service, *args, **kwargs)
        client.meta.events.register(
            "provide-client-params.ec2.RunInstances", lambda params, **_: sent.append(json.loads(json.dumps(params)))
        )
        return client

    plan = target.plan(spec(spot=True))
    shown = plan.describe()
    assert json.loads(json.dumps(shown)) == shown
    monkeypatch.setattr(boto3.Session, "client", listening)
    target.submit(plan)
    described = next(call["request"] for call in shown["calls"] if call["operation"] == "RunInstances")
    assert described == sent[0]
    assert described["InstanceMarketOptions"]["MarketType"] == "spot"


def test_dry_run_needs_no_aws(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    shown = Ec2Target("us-east-1").plan(spec(max_hours=10)).describe()
    assert shown["calls"][-1]["region"] == "us-east-1"
    assert shown["price"].startswith("at most 13.94 USD (1.372 USD an hour for 10.17 h; price list of ")


def test_amazon_linux_by_option(account: str) -> None:
    target = Ec2Target(config=read_config({"ROADSENSE_EC2_SYSTEM": "al2023", "ROADSENSE_EC2_DISK_GB": "40"}))
    submit(target, spec())
    parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    (machine,) = machines()
    assert machine["ImageId"] == f"resolve:ssm:{parameter}"
    attribute = {"InstanceId": machine["InstanceId"], "Attribute": "userData"}
    text = boto3.client("ec2").describe_instance_attribute(**attribute)["UserData"]["Value"]
    assert "SYSTEM=al2023" in base64.b64decode(text).decode()


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"ROADSENSE_EC2_SYSTEM": "windows"}, "SYSTEM"),
        ({"ROADSENSE_EC2_DISK_GB": "big"}, "DISK_GB"),
        ({"ROADSENSE_EC2_DISK_GB": "8"}, "DISK_GB"),
        ({"ROADSENSE_EC2_SUBNET_ID": "subnet-1"}, "SECURITY_GROUP_ID"),
    ],
)
def test_wrong_settings_of_the_account_are_named(variables: dict[str, str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_config(variables)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"image": None}, "image"),
        ({"instance_type": "c7g.8xlarge"}, "ARM"),
        ({"max_usd": 0.1}, "max_usd"),
        ({"output": f"s3://cars/{'a' * 240}"}, "at most 256"),
        ({"max_usd": 9.0, "instance_type": "x9z.huge"}, "max_usd"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(no_aws: None, changes: dict, named: str) -> None:
    with pytest.raises(InputError, match=named):
        Ec2Target(REGION).plan(spec(**changes))


def test_a_group_with_an_open_door_is_refused(target: Ec2Target) -> None:
    ec2 = boto3.client("ec2")
    submit(target, spec())
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupName=SECURITY_GROUP, IpPermissions=[rule])
    with pytest.raises(InputError, match="inbound rule"):
        submit(target, spec(name="roadsense-second"))
    assert len(machines()) == 1


def test_a_missing_instance_profile_is_explained(target: Ec2Target) -> None:
    boto3.client("iam").delete_instance_profile(InstanceProfileName="roadsense-instance")
    with pytest.raises(CloudError, match="infra/iam says how it is made"):
        submit(target, spec())


def test_the_first_spot_machine_of_an_account_is_explained(target: Ec2Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: object) -> None:
        raise EC2ClientError(code, "The provided credentials do not have permission to create the service-linked role")

    code = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    monkeypatch.setattr(EC2Response, "run_instances", refuse)
    with pytest.raises(CloudError, match="create-service-linked-role"):
        submit(target, spec(spot=True))


def test_missing_credentials_and_region_are_explained(account: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match="AWS_PROFILE"):
        submit(Ec2Target(), spec())
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    with pytest.raises(RegionError, match="AWS_REGION"):
        submit(Ec2Target(), spec())


def test_status_from_the_start_to_the_end(target: Ec2Target) -> None:
    job = submit(target, spec())
    at_work = target.status(job)
    assert at_work.state == JobState.RUNNING
    assert at_work.usd is not None
    assert 0 < at_work.usd < 0.2
    assert "until 20" in at_work.phase
    for other_name in ("roadsense-first", machines()[0]["InstanceId"]):
        assert target.status(other_name).output == job
    began = end_machine(job)
    done = target.status(job)
    assert (done.state, done.reason) == (JobState.DONE, "")
    assert (done.started, done.ended) == (write_time(began), write_time(began + timedelta(hours=2)))
    assert done.usd == pytest.approx(3.0)
    with pytest.raises(InputError, match="roadsense-second"):
        target.status("roadsense-second")
    with pytest.raises(InputError, match="third"):
        target.status(f"{OUTPUT}/jobs/roadsense-third")


def test_status_says_why_a_job_failed(target: Ec2Target) -> None:
    job = submit(target, spec())
    end_machine(job, 1, **{"output/failure": "NotebookError: the road is closed"})
    status = target.status(job)
    assert (status.state, status.reason) == (JobState.FAILED, "exit code 1: NotebookError: the road is closed")


def test_a_machine_that_vanished_is_no_success(target: Ec2Target) -> None:
    job = submit(target, spec())
    end_machine(job, vanished=True)
    status = target.status(job)
    assert status.state == JobState.STOPPED
    assert "taken away" in status.reason
    assert status.was_interrupted


def test_an_interrupted_job_goes_on_on_another_machine(target: Ec2Target) -> None:
    job = submit(target, spec(spot=True))
    with pytest.raises(InputError, match="is running"):
        submit(target, spec(spot=True))
    end_machine(job, stopped="spot interruption")
    assert target.status(job).reason == "spot interruption"
    with pytest.raises(InputError, match="another parameters"):
        submit(target, spec(parameters={"total_timesteps": 8192}))
    assert target.status(job).was_interrupted
    assert submit(target, spec(spot=True)) == job
    assert len({machine["ClientToken"] for machine in machines()}) == 2
    assert all(machine["InstanceLifecycle"] == "spot" for machine in machines())
    end_machine(job)
    with pytest.raises(InputError, match="is done"):
        submit(target, spec())


def test_a_local_dataset_is_published_and_cannot_be_swapped_under_a_job(
    target: Ec2Target, small_dataset: Dataset, dataset_copy: Path
) -> None:
    job = submit(target, spec(dataset=str(dataset_copy)))
    url = f"{OUTPUT}/datasets/{small_dataset.digest}"
    assert JobFolder(url, REGION).read_text("manifest.json") == (dataset_copy / "manifest.json").read_text().strip()
    written = JobFolder(job, REGION).read_spec()
    assert written is not None
    assert written.dataset == url
    end_machine(job, stopped="asked")
    with pytest.raises(InputError, match="another dataset"):
        submit(target, spec())
    assert submit(target, spec(dataset=str(dataset_copy))) == job


def test_logs_come_from_s3_and_before_that_from_the_console(target: Ec2Target) -> None:
    job = submit(target, spec())
    assert any("Linux" in line for line in target.logs(job, follow=False))
    end_machine(job)
    assert list(target.logs(job, follow=False)) == ["one", "two", "three"]
    assert list(target.logs(job, follow=True)) == ["one", "two", "three"]


def test_following_logs_shows_each_line_once(target: Ec2Target, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit(target, spec())
    s3, key = boto3.client("s3"), "rs/jobs/roadsense-first/run.log"
    s3.put_object(Bucket="cars", Key=key, Body=b"one\ntw")

    def go_on(_pause_s: float) -> None:
        end_machine(job)

    monkeypatch.setattr("roadsense.jobs.aws.ec2.target.time.sleep", go_on)
    assert list(target.logs(job, follow=True)) == ["one", "two", "three"]


def test_the_log_of_a_resumed_job_is_that_of_its_new_machine(
    target: Ec2Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(target, spec(spot=True))
    end_machine(job, stopped="spot interruption")  # its log has three lines
    time.sleep(1.1)  # S3's times are full seconds
    submit(target, spec(spot=True))
    s3, key = boto3.client("s3"), "rs/jobs/roadsense-first/run.log"
    pauses = iter(range(2))

    def go_on(_pause_s: float) -> None:
        if next(pauses) == 0:
            s3.put_object(Bucket="cars", Key=key, Body=b"once more\n")
        else:
            end_machine(job, **{"run.log": "once more\nto the end"})

    monkeypatch.setattr("roadsense.jobs.aws.ec2.target.time.sleep", go_on)
    assert list(target.logs(job, follow=True)) == ["once more", "to the end"]


def test_a_resumed_job_waits_while_ec2_does_not_list_its_machine(
    target: Ec2Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(target, spec(spot=True))
    end_machine(job, stopped="spot interruption")
    time.sleep(1.1)
    submit(target, spec(spot=True))
    monkeypatch.setattr(target, "_machines_of", lambda _folder: [])  # it is listed some seconds later
    status = target.status(job)
    assert (status.state, status.was_interrupted) == (JobState.WAITING, False)
    monkeypatch.setattr("roadsense.jobs.aws.ec2.folder.NEW_S", 0.0)
    assert target.status(job).was_interrupted


def test_stop_asks_the_machine_and_does_not_end_it(target: Ec2Target) -> None:
    job = submit(target, spec())
    target.stop(job)
    (command,) = boto3.client("ssm").list_commands()["Commands"]
    assert command["DocumentName"] == "AWS-RunShellScript"
    assert command["InstanceIds"] == [machines()[0]["InstanceId"]]
    assert command["Parameters"]["commands"] == build_stop_request("i-1", 90)["Parameters"]["commands"]
    assert machines()[0]["State"]["Name"] == "running"
    end_machine(job)
    target.stop(job)
    assert len(boto3.client("ssm").list_commands()["Commands"]) == 1


def test_a_machine_that_cannot_be_asked_is_ended(target: Ec2Target, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    job = submit(target, spec())
    answer_ssm_with(monkeypatch, "InvalidInstanceId")
    target.stop(job)
    assert machines()[0]["State"]["Name"] == "terminated"
    assert "cannot be asked" in capsys.readouterr().err
    end_machine(job, vanished=True)
    stopped = target.status(job)
    assert (stopped.state, stopped.was_interrupted) == (JobState.STOPPED, False)


def answer_ssm_with(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Makes the stand-in for SSM answer as the real one does for a machine whose agent is not connected."""
    from moto.core.exceptions import JsonRESTError
    from moto.ssm.responses import SimpleSystemManagerResponse

    def refuse(_self: object) -> None:
        raise JsonRESTError(code, "Instances not in a valid state for account")

    monkeypatch.setattr(SimpleSystemManagerResponse, "send_command", refuse)


def test_fetch_brings_what_the_machine_left_and_checks_it(target: Ec2Target, tmp_path: Path) -> None:
    job = submit(target, spec())
    s3 = boto3.client("s3")
    with pytest.raises(Exception, match="no results yet"):
        target.fetch(job, tmp_path / "early")
    sums = {"model/model.zip": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}
    end_machine(job, **{"manifest.sha256.json": json.dumps(sums), "model/model.zip": "hello", "model/old.zip": "x"})
    fetched = target.fetch(job, tmp_path / "results")
    assert (fetched / "model" / "model.zip").read_text() == "hello"
    assert not (fetched / "model" / "old.zip").exists()
    with pytest.raises(InputError, match="new folder"):
        target.fetch(job, tmp_path / "results")
    s3.put_object(Bucket="cars", Key="rs/jobs/roadsense-first/model/model.zip", Body=b"hellO")
    with pytest.raises(Exception, match=r"changed: model/model\.zip"):
        target.fetch(job, tmp_path / "again")
    s3.put_object(Bucket="cars", Key="rs/jobs/roadsense-first/manifest.sha256.json", Body=b'{"model/mo')
    with pytest.raises(TransferError, match="the sums of a job's files"):
        target.fetch(job, tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.json", "results"]


def test_a_name_that_leads_out_of_the_folder_is_refused(target: Ec2Target, tmp_path: Path) -> None:
    job = submit(target, spec())
    sums = {"../../outside": "0" * 64}
    end_machine(job, **{"manifest.sha256.json": json.dumps(sums), "../../outside": "x"})
    with pytest.raises(Exception, match="outside"):
        target.fetch(job, tmp_path / "in" / "results")
    assert not list(tmp_path.rglob("outside"))


def test_the_list_of_all_shows_what_costs_anywhere_whoever_started_it(
    target: Ec2Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submit(target, spec())
    monkeypatch.setenv("ROADSENSE_OWNER", "yan")
    boto3.client("s3", "us-east-1").create_bucket(Bucket="trucks")
    far_away = Ec2Target("us-east-1", Ec2Config())
    submit(far_away, spec(name="roadsense-far-away", output="s3://trucks", region="us-east-1"))
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "project", "Value": "roadsense"}]}]
    boto3.client("ec2").create_volume(AvailabilityZone=f"{REGION}a", Size=30, TagSpecifications=tags)
    boto3.client("ec2").create_volume(AvailabilityZone=f"{REGION}a", Size=99)
    stranger = boto3.client("ec2").describe_images()["Images"][0]["ImageId"]
    boto3.client("ec2").run_instances(ImageId=stranger, MinCount=1, MaxCount=1)

    assert [status.name for status in target.list_jobs(everyone=False)] == []
    found = target.list_jobs(everyone=True)
    assert sorted(status.name for status in found) == ["", "roadsense-far-away", "roadsense-first"]
    assert any("yan's" in status.phase and "us-east-1" in status.phase for status in found)
    (disk,) = [status for status in found if status.job_id.startswith("vol-")]
    assert "30 GB without a machine" in disk.phase
    end_machine(job)
    assert "roadsense-first" not in [status.name for status in target.list_jobs(everyone=True)]


def test_a_machine_past_its_deadline_is_pointed_out(target: Ec2Target) -> None:
    submit(target, spec())
    assert target.list_jobs(everyone=False)[0].reason == ""
    past = [{"Key": "roadsense:deadline", "Value": "2026-01-01T00:00:00Z"}]
    boto3.client("ec2").create_tags(Resources=[machines()[0]["InstanceId"]], Tags=past)
    assert target.list_jobs(everyone=False)[0].reason.startswith("overdue: it should have ended at 2026-01-01")


def test_a_missing_file_is_looked_for_as_the_policies_allow(target: Ec2Target, monkeypatch: pytest.MonkeyPatch) -> None:
    made = record_calls(monkeypatch)
    job = submit(target, spec())
    target.status(job)
    assert "s3:HeadObject" not in made  # S3 answers 403 to who may list only a prefix


def test_the_place_of_a_job_reads_only_what_is_new(target: Ec2Target) -> None:
    place = JobFolder(f"{OUTPUT}/jobs/roadsense-first", REGION)
    assert place.read("run.log", 0) is None
    place.write("run.log", b"0123456789")
    assert place.read("run.log", 4) == b"456789"
    assert place.read("run.log", 10) == b""
