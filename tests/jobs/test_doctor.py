"""What `roadsense doctor --aws` finds in an account that is empty, half set up, and set up."""

import json

import boto3
import pytest

from roadsense.cli import main
from roadsense.jobs.aws.doctor import examine_account
from roadsense.utils.finding import MISSING, OK

ROLE = "roadsense-sagemaker"
REGION = "eu-central-1"
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
    "config": {
        "mediaType": "application/vnd.docker.container.image.v1+json",
        "size": 2,
        "digest": "sha256:" + 64 * "0",
    },
    "layers": [],
}


def by_name(**given):
    return {finding.what: finding for finding in examine_account(**given)}


def trust(service):
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def set_up():
    s3, ecr, iam = (boto3.client(name) for name in ("s3", "ecr", "iam"))
    s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    s3.put_public_access_block(Bucket="bucket", PublicAccessBlockConfiguration=closed)
    ecr.create_repository(repositoryName="roadsense", imageTagMutability="IMMUTABLE")
    ecr.put_image(repositoryName="roadsense", imageTag="abc", imageManifest=json.dumps(MANIFEST))
    arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust("sagemaker.amazonaws.com"))["Role"]["Arn"]
    iam.create_role(RoleName="roadsense-instance", AssumeRolePolicyDocument=trust("ec2.amazonaws.com"))
    iam.create_instance_profile(InstanceProfileName="roadsense-instance")
    iam.add_role_to_instance_profile(InstanceProfileName="roadsense-instance", RoleName="roadsense-instance")
    return arn


def test_without_credentials_that_is_all_it_says(no_aws, monkeypatch):
    monkeypatch.setenv("AWS_REGION", REGION)
    found = list(examine_account())
    assert [finding.level for finding in found] == [MISSING]
    assert "credentials" in found[0].words


def test_an_empty_account_lacks_everything_and_is_told_the_way(aws, capsys):
    found = by_name(bucket="bucket", role=f"arn:aws:iam::123456789012:role/{ROLE}")
    for what in ("bucket", "image", "execution role (SageMaker)", "instance profile (EC2)"):
        assert found[what].level == MISSING, found[what]
        assert found[what].words.endswith(("CAPABILITY_NAMED_IAM", "`roadsense job image --push`."))
    assert main(["doctor", "--aws", "--bucket", "bucket"]) == 1
    assert "cloudformation deploy" in capsys.readouterr().out


def test_an_account_that_is_set_up_is_found_so(aws):
    found = by_name(bucket="bucket", role=set_up())
    for what in ("credentials", "bucket", "image", "execution role (SageMaker)", "instance profile (EC2)"):
        assert found[what].level == OK, found[what]


def test_an_open_bucket_is_no_good(aws):
    role = set_up()
    boto3.client("s3").delete_public_access_block(Bucket="bucket")
    assert by_name(bucket="bucket", role=role)["bucket"].level == MISSING


def test_a_role_that_sagemaker_cannot_take_is_no_good(aws):
    set_up()
    role = boto3.client("iam").get_role(RoleName="roadsense-instance")["Role"]["Arn"]
    found = by_name(bucket="bucket", role=role)["execution role (SageMaker)"]
    assert found.level == MISSING
    assert "sagemaker.amazonaws.com" in found.words


@pytest.mark.parametrize("bucket", [None, "another"])
def test_a_bucket_that_is_not_there(aws, bucket):
    assert by_name(bucket=bucket)["bucket"].level == MISSING
