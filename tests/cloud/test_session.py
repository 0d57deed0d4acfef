import json
from pathlib import Path

import botocore.session
import pytest
from botocore.exceptions import ClientError

from roadsense.cloud import session as cloud_session
from roadsense.cloud.request_checks import find_violations
from roadsense.cloud.session import (
    AccessError,
    CloudError,
    CredentialsError,
    ExpiredCredentialsError,
    RegionError,
    RequestError,
    UnreachableError,
    find_owner,
    find_region,
    make_client,
    translate_answer,
    translate_errors,
)
from tests.jobs.conftest import REGION, enforced_policies


def test_a_client_speaks_to_the_service(aws: str) -> None:
    s3 = make_client("s3")
    s3.create_bucket(Bucket="cars", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["cars"]
    assert s3.meta.config.max_pool_connections == cloud_session.CONNECTIONS


def test_the_regions_order(no_aws: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    studio = tmp_path / "resource-metadata.json"
    studio.write_text(json.dumps({"ResourceArn": "arn:aws:sagemaker:ap-south-1:123456789012:space/d-1/mine"}))
    monkeypatch.setattr(cloud_session, "STUDIO_METADATA", studio)
    assert find_region() == "ap-south-1"
    (tmp_path / "no-config").write_text("[default]\nregion = eu-west-3\n")
    assert find_region() == "eu-west-3"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    assert find_region() == "us-east-1"
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    assert find_region() == "us-west-2"
    assert find_region("eu-north-1") == "eu-north-1"


def test_no_region_is_said(no_aws: None) -> None:
    with pytest.raises(RegionError, match="set AWS_REGION"):
        make_client("ec2")
    with pytest.raises(RegionError, match="'frankfurt'"):
        find_region("frankfurt")


def test_no_credentials_are_said(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError, match="AWS_PROFILE"), translate_errors():
        make_client("ec2").describe_instances()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    with pytest.raises(CredentialsError, match="AWS_SECRET_ACCESS_KEY"), translate_errors():
        make_client("ec2").describe_instances()


def test_an_unknown_profile_is_said(no_aws: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "night-shift")
    with pytest.raises(CredentialsError, match="night-shift"):
        make_client("ec2", REGION)


def test_credentials_the_service_refuses(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with enforced_policies(aws), pytest.raises(CredentialsError, match="does not know"), translate_errors():
        make_client("ec2").describe_instances()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("ExpiredToken", ExpiredCredentialsError),
        ("ExpiredTokenException", ExpiredCredentialsError),
        ("RequestExpired", ExpiredCredentialsError),
        ("InvalidClientTokenId", CredentialsError),
        ("UnauthorizedOperation", AccessError),
        ("AccessDenied", AccessError),
        ("InsufficientInstanceCapacity", CloudError),
    ],
)
def test_every_answer_has_its_kind(code: str, kind: type) -> None:
    answer = ClientError({"Error": {"Code": code, "Message": "no."}}, "RunInstances")
    error = translate_answer(answer)
    assert type(error) is kind
    assert f"RunInstances: {code}: no." in str(error)
    assert error.exit_code == (2 if issubclass(kind, CredentialsError) else 1)


def test_a_service_out_of_reach_is_said(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="AWS_ENDPOINT_URL"), translate_errors():
        make_client("ec2").describe_instances()


def test_a_wrong_request_is_never_sent(no_aws: None) -> None:
    iam = make_client("iam", REGION)
    with pytest.raises(RequestError, match="RoleName: 'a b' does not match"), translate_errors():
        iam.get_role(RoleName="a b")
    with pytest.raises(RequestError, match=r"expected 1 to 64 characters, got 65"), translate_errors():
        iam.get_role(RoleName="r" * 65)


def test_violations_are_found_at_any_depth() -> None:
    session = botocore.session.get_session()
    shape = session.get_service_model("sagemaker").operation_model("CreateTrainingJob").input_shape
    request = {
        "TrainingJobName": "rl_1",
        "ResourceConfig": {"InstanceType": "c6i.8xlarge", "InstanceCount": 1},
        "HyperParameters": {"a": "x" * 2501},
        "Tags": [{"Key": "fine ünïcode", "Value": "a;b"}],
    }
    with pytest.warns(UserWarning, match=r"c6i\.8xlarge"):  # perhaps a new type, so no violation
        violations = list(find_violations(shape, request))
    assert [violation.split(":")[0] for violation in violations] == [
        ".TrainingJobName",
        ".HyperParameters.a",
        ".Tags[0].Value",
    ]


def test_an_owner_is_a_person_and_a_lawful_tag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROADSENSE_OWNER", "Zoë <zoe@example.org>")
    assert find_owner() == "Zo- -zoe@example.org-"
    monkeypatch.delenv("ROADSENSE_OWNER")
    monkeypatch.setattr("getpass.getuser", lambda: "zoe")
    assert find_owner() == "zoe"
    monkeypatch.setattr("getpass.getuser", lambda: "root")
    assert find_owner().startswith("root@")
