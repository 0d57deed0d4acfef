"""AWS's registry, on a stand-in that answers over HTTP."""

import json

import boto3
import pytest

from roadsense.cloud.session import CredentialsError, RegionError
from roadsense.errors import InputError
from roadsense.jobs.aws.ecr import Ecr, Login
from roadsense.jobs.local.engine import Engine
from roadsense.jobs.local.image import Image, push_to_ecr

KIND = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": {"digest": "sha256:0"}, "layers": []})
IMAGE = Image("roadsense:run-0123456789ab-ba9876543210", "0123456789ab", "ba9876543210", 1)


@pytest.fixture
def client(aws):
    return boto3.client("ecr")


def test_a_new_repository_keeps_its_tags_and_scans_what_comes(client):
    uri = Ecr().open_repository("roadsense")
    (made,) = client.describe_repositories()["repositories"]
    assert made["repositoryUri"] == uri
    assert made["imageTagMutability"] == "IMMUTABLE"
    assert made["imageScanningConfiguration"] == {"scanOnPush": True}
    assert client.list_tags_for_resource(resourceArn=made["repositoryArn"])["tags"][0]["Value"] == "roadsense"
    assert Ecr().open_repository("roadsense") == uri


def test_a_repository_whose_tags_can_move_is_refused(client):
    client.create_repository(repositoryName="roadsense")
    with pytest.raises(InputError, match="put-image-tag-mutability"):
        Ecr().open_repository("roadsense")


def test_an_image_is_found_by_its_tag_and_not_sent_again(client):
    ecr = Ecr()
    place, tag = ecr.open_repository("roadsense"), IMAGE.tag.partition(":")[2]
    assert ecr.find_digest("roadsense", tag) is None
    put = client.put_image(repositoryName="roadsense", imageManifest=MANIFEST, imageTag=tag)
    digest = put["image"]["imageId"]["imageDigest"]
    assert push_to_ecr(IMAGE, Engine("/no/engine/is/asked"), ecr, "roadsense") == (place, digest)


def test_a_login_does_not_show_its_password(client):
    login = Ecr().log_in()
    assert (login.user, bool(login.password)) == ("AWS", True)
    assert "secret" not in f"{Login('AWS', 'secret')!r}{Login('AWS', 'secret')}"


def test_what_is_missing_for_aws_is_said(aws, monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsError):
        Ecr().log_in()
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(RegionError):
        Ecr()
