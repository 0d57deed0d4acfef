"""The set-up of an account: linted, made of the policies in `infra/iam`, and deployed to a stand-in for AWS."""

import json
import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from roadsense.jobs.aws.doctor import examine_account
from roadsense.utils.finding import OK
from tests.jobs.conftest import REGION, aws, aws_server, enforced_policies, no_aws
from tests.jobs.test_ec2 import account
from tests.jobs.test_iam import ALLOWED, actions, assume, attempt, read_policy, stocked

__all__ = ["account", "aws", "aws_server", "no_aws", "stocked"]

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "infra" / "roadsense.template.json"


def test_template_is_what_the_policies_make():
    made = subprocess.run(
        [sys.executable, "-c", "import json, build; print(json.dumps(build.build()))"],
        cwd=ROOT / "infra", check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(made.stdout) == json.loads(TEMPLATE.read_text()), "run `make infra`"


def test_template_has_no_fault_a_linter_finds():
    command = [Path(sys.executable).with_name("cfn-lint"), TEMPLATE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_bucket_is_closed_encrypted_and_kept():
    bucket = json.loads(TEMPLATE.read_text())["Resources"]["JobBucket"]
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    assert bucket["Properties"]["BucketEncryption"]
    assert bucket["DeletionPolicy"] == "Retain"


def test_template_sets_up_what_jobs_need(aws):
    formation = boto3.client("cloudformation")
    parameters = [{"ParameterKey": "Bucket", "ParameterValue": "cars"}]
    formation.create_stack(
        StackName="roadsense",
        TemplateBody=TEMPLATE.read_text(),
        Parameters=parameters,
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    stack = formation.describe_stacks(StackName="roadsense")["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs["Output"] == "s3://cars/roadsense"
    boto3.client("s3").head_bucket(Bucket="cars")  # the stand-in leaves its properties out
    repository = boto3.client("ecr").describe_repositories(repositoryNames=["roadsense"])["repositories"][0]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    found = {finding.what: finding for finding in examine_account(role=outputs["SageMakerRoleArn"], region=REGION)}
    assert found["execution role (SageMaker)"].level == OK
    assert found["instance profile (EC2)"].level == OK


@pytest.mark.parametrize("name", ["sagemaker-role", "sagemaker-submitter"])
def test_policies_for_sagemaker_are_valid_and_name_every_right(aws, name):
    policy = read_policy(name)
    boto3.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))
    assert "${" not in json.dumps(policy)
    assert len(json.dumps(policy)) < 6144  # the limit of a managed policy
    assert not [action for action in actions(policy) if "*" in action]
    wide = {
        action for each in policy["Statement"] if each["Resource"] == "*" for action in actions({"Statement": [each]})
    }
    assert wide <= {
        "ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "pricing:GetProducts", "ec2:DescribeRegions",
        "sagemaker:ListHyperParameterTuningJobs", "sagemaker:Search",
    }  # fmt: skip


def test_the_execution_role_reads_datasets_and_writes_jobs_only(stocked):
    session = assume("sagemaker-role")
    s3 = session.client("s3")
    with enforced_policies(stocked):
        got = {
            "reads a dataset": attempt(lambda: s3.get_object(Bucket="cars", Key="rs/datasets/d1/manifest.json")),
            "lists jobs": attempt(lambda: s3.list_objects_v2(Bucket="cars", Prefix="rs/jobs/j1/")),
            "writes a job": attempt(lambda: s3.put_object(Bucket="cars", Key="rs/jobs/j1/output/x", Body=b"x")),
            "deletes a checkpoint": attempt(
                lambda: s3.delete_object(Bucket="cars", Key="rs/jobs/j1/checkpoints/j1/checkpoints/checkpoint_1.pt")
            ),
            "deletes results": attempt(lambda: s3.delete_object(Bucket="cars", Key="rs/jobs/j1/output/x")),
            "changes a dataset": attempt(lambda: s3.put_object(Bucket="cars", Key="rs/datasets/d1/x", Body=b"x")),
            "reads others'": attempt(lambda: s3.get_object(Bucket="cars", Key="others/secret")),
        }
    assert [what for what, answer in got.items() if answer == ALLOWED] == list(got)[:4]
