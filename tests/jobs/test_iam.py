"""The policies of `infra/iam`: valid, no wider than they have to be, and enough for every call the code makes."""

import json
import os
import re
import subprocess
from pathlib import Path
from string import Template

import boto3
import pytest
from botocore.exceptions import ClientError

from roadsense.jobs.aws.ec2.target import Ec2Target
from roadsense.jobs.aws.ec2.workstation import WorkstationConfig, plan_workstation, start_workstation
from tests.jobs.conftest import REGION, enforced_policies
from tests.jobs.recorded_calls import record_calls
from tests.jobs.test_ec2 import IMAGE, OUTPUT, account, end_machine, spec, submit

__all__ = ["account"]

FOLDER = Path(__file__).parents[2] / "infra" / "iam"
VALUES = {"ACCOUNT": "123456789012", "REGION": REGION, "BUCKET": "cars", "PREFIX": "rs", "REPOSITORY": "roadsense"}
POLICIES = ("instance-role", "submitter", "publisher")
ACTIONS = {
    "s3:ListObjectsV2": "s3:ListBucket",
}
"""Operations whose right has another name."""
MADE_BY_THE_TEST = {"ec2:StopInstances"}
UNSCOPED = re.compile(
    r"ec2:Describe\w+|ecr:GetAuthorizationToken|pricing:GetProducts|(ssm|ec2|ssm)messages:\w+|ssm:\w*Instance\w*"
)
"""Rights that AWS doesn't limit to resources."""


def read_policy(name: str) -> dict:
    return json.loads(Template((FOLDER / f"{name}.json").read_text()).safe_substitute(VALUES))


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(policy: dict) -> set[str]:
    return {action for statement in policy["Statement"] for action in listed(statement["Action"])}


@pytest.mark.parametrize("name", POLICIES)
def test_a_policy_is_valid_and_names_every_right(aws: str, name: str) -> None:
    policy = read_policy(name)
    iam = boto3.client("iam")
    iam.create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))
    assert "${" not in json.dumps(policy).replace("${aws:userid}", "")
    assert len(json.dumps(policy)) < 6144  # the limit of a managed policy
    assert not [action for action in actions(policy) if "*" in action]
    wide = {a for s in policy["Statement"] if "*" in listed(s["Resource"]) for a in listed(s["Action"])}
    assert [action for action in sorted(wide) if not UNSCOPED.fullmatch(action)] == []


def test_the_validator_can_refuse(aws: str) -> None:
    policy = read_policy("instance-role")
    policy["Statement"][0]["Action"] = "no right at all"
    with pytest.raises(ClientError, match="MalformedPolicyDocument"):
        boto3.client("iam").create_policy(PolicyName="wrong", PolicyDocument=json.dumps(policy))


def test_envsubst_fills_them_as_the_readme_says(tmp_path: Path) -> None:
    names = " ".join(f"${name}" for name in VALUES)
    try:
        done = subprocess.run(
            ["envsubst", names],
            input=(FOLDER / "submitter.json").read_text(),
            env={**os.environ, **VALUES},
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError:
        pytest.skip("envsubst is not installed")
    assert json.loads(done.stdout) == read_policy("submitter")


def test_the_submitter_may_make_every_call_the_code_makes(
    account: str, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    target = Ec2Target()
    made = record_calls(monkeypatch)
    job = submit(target, spec(spot=True))
    list(target.logs(job, follow=False))
    target.stop(job)
    target.list_jobs(everyone=True)
    target.list_jobs(everyone=False)
    sums = json.dumps({})
    end_machine(job, stopped="asked", **{"manifest.sha256.json": sums})
    submit(target, spec(spot=True))
    end_machine(job, **{"manifest.sha256.json": sums})
    target.fetch(job, tmp_path / "results")
    workstation = plan_workstation(WorkstationConfig(output=OUTPUT, image=IMAGE))
    boto3.client("ec2").stop_instances(InstanceIds=[start_workstation(workstation)])
    start_workstation(workstation)
    needed = {ACTIONS.get(call, call) for call in made}
    assert {
        "ec2:RunInstances",
        "ec2:CreateSecurityGroup",
        "ssm:SendCommand",
        "s3:PutObject",
    } <= needed
    needed.add("ssm:GetParameters")  # EC2 resolves the image's parameter with the caller's rights
    assert sorted(needed - actions(read_policy("submitter")) - MADE_BY_THE_TEST) == []


def test_a_session_may_be_opened_resumed_and_ended_by_who_started_it() -> None:
    own = [each for each in read_policy("submitter")["Statement"] if "ssmmessages:OpenDataChannel" in each["Action"]]
    assert [sorted(each["Action"]) for each in own] == [
        ["ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel"]
    ]
    assert own[0]["Resource"] == "arn:aws:ssm:*:*:session/${aws:userid}-*"


ALLOWED = "allowed"
REFUSED = "refused"


def attempt(call) -> str:
    try:
        call()
    except ClientError as error:
        if error.response["Error"]["Code"] in ("403", "AccessDenied", "AccessDeniedException", "UnauthorizedOperation"):
            return REFUSED
        raise
    return ALLOWED


@pytest.fixture
def stocked(account: str) -> str:
    s3 = boto3.client("s3")
    for key in ("rs/datasets/d1/manifest.json", "rs/jobs/j1/spec.json", "others/secret"):
        s3.put_object(Bucket="cars", Key=key, Body=b"x")
    return account


def assume(name: str) -> boto3.Session:
    """A session of a role that has one of the policies."""
    iam = boto3.client("iam")
    trust = json.dumps(read_policy("instance-trust"))
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="roadsense", PolicyDocument=json.dumps(read_policy(name)))
    keys = boto3.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="test")["Credentials"]
    return boto3.Session(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"], REGION)


def test_what_a_machine_may_and_may_not(stocked: str) -> None:
    session = assume("instance-role")
    s3, ecr, ec2, iam = (session.client(name) for name in ("s3", "ecr", "ec2", "iam"))
    with enforced_policies(stocked):
        got = {
            "reads a dataset": attempt(lambda: s3.get_object(Bucket="cars", Key="rs/datasets/d1/manifest.json")),
            "reads a job": attempt(lambda: s3.get_object(Bucket="cars", Key="rs/jobs/j1/spec.json")),
            "writes a job": attempt(lambda: s3.put_object(Bucket="cars", Key="rs/jobs/j1/run.log", Body=b"x")),
            "lists": attempt(lambda: s3.list_objects_v2(Bucket="cars", Prefix="rs/jobs/j1/")),
            "logs in": attempt(ecr.get_authorization_token),
            "changes a dataset": attempt(lambda: s3.put_object(Bucket="cars", Key="rs/datasets/d1/x", Body=b"x")),
            "deletes": attempt(lambda: s3.delete_object(Bucket="cars", Key="rs/jobs/j1/spec.json")),
            "reads others'": attempt(lambda: s3.get_object(Bucket="cars", Key="others/secret")),
            "lists buckets": attempt(s3.list_buckets),
            "sees machines": attempt(ec2.describe_instances),
            "ends machines": attempt(lambda: ec2.terminate_instances(InstanceIds=["i-0123456789abcdef0"])),
            "makes users": attempt(lambda: iam.create_user(UserName="x")),
            "makes repositories": attempt(lambda: ecr.create_repository(repositoryName="trucks")),
        }
    assert [what for what, answer in got.items() if answer == ALLOWED] == list(got)[:5]


def test_what_a_submitter_may_and_may_not(stocked: str) -> None:
    session = assume("submitter")
    s3, ec2, iam, ecr = (session.client(name) for name in ("s3", "ec2", "iam", "ecr"))
    with enforced_policies(stocked):
        got = {
            "sends a dataset": attempt(lambda: s3.put_object(Bucket="cars", Key="rs/datasets/d2/x", Body=b"x")),
            "fetches results": attempt(lambda: s3.get_object(Bucket="cars", Key="rs/jobs/j1/spec.json")),
            "sees machines": attempt(ec2.describe_instances),
            "sees disks": attempt(ec2.describe_volumes),
            "sees regions": attempt(ec2.describe_regions),
            "reads others'": attempt(lambda: s3.get_object(Bucket="cars", Key="others/secret")),
            "writes others'": attempt(lambda: s3.put_object(Bucket="cars", Key="others/x", Body=b"x")),
            "deletes": attempt(lambda: s3.delete_object(Bucket="cars", Key="rs/jobs/j1/spec.json")),
            "makes users": attempt(lambda: iam.create_user(UserName="x")),
            "opens doors": attempt(lambda: ec2.authorize_security_group_ingress(GroupId="sg-1", IpPermissions=[])),
            "makes key pairs": attempt(lambda: ec2.create_key_pair(KeyName="x")),
            "pushes images": attempt(lambda: ecr.create_repository(repositoryName="roadsense")),
        }
    assert [what for what, answer in got.items() if answer == ALLOWED] == list(got)[:5]
