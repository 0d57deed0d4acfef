"""Policies in SageMaker's model registry: the requests by themselves, then the command over HTTP."""

import hashlib
import json
import re
from dataclasses import replace

import boto3
import pytest

from roadsense.cloud.checksums import TransferError
from roadsense.errors import InputError
from roadsense.jobs.commands import main
from roadsense.jobs.registry import plan_package
from roadsense.jobs.registry_request import (
    GROUP,
    PACKAGE,
    Package,
    Report,
    build_group_request,
    build_package_request,
    list_properties,
    spell_value,
)
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_send import check_request
from roadsense.jobs.target import JobError
from roadsense.runs.run import create_run
from roadsense.training.train_config import TrainConfig
from roadsense.utils.files import hash_file
from tests.jobs.conftest import REGION
from tests.jobs.recorded_calls import record_calls
from tests.jobs.sagemaker_stand_in import Story, told
from tests.jobs.test_iam import ACTIONS, actions, read_policy
from tests.jobs.test_sagemaker import leave, pack
from tests.jobs.test_sagemaker_request import DATASET, IMAGE, SPEC

IMAGE_DIGEST = f"sha256:{'0c' * 32}"
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json"})
ALLOWED_VALUE = re.compile(r"[\w\s.:/=+@-]{1,256}")
PACKAGE_OF_ALL = Package(
    group="roadsense",
    artefact_url="s3://bucket/roads/jobs/one/output/model.tar.gz",
    image=f"{IMAGE}@{IMAGE_DIGEST}",
    facts={"job_name": "one", "git_commit": "abc", "dataset_digest": "0a" * 32, "seeds": "[0, 1]", "unknown": ""},
    settings={"learning_rate": 1e-3, "net": [256, 256], "note": "x" * 300, "v2v": "bursty, or not"},
    report=Report("s3://bucket/roads/jobs/one/registry/evaluation.json", "0d" * 32),
)


def test_package_is_one_sagemaker_takes():
    request = build_package_request(PACKAGE_OF_ALL)
    check_request(PACKAGE, request)
    (container,) = request["InferenceSpecification"]["Containers"]
    assert container == {
        "Image": f"{IMAGE}@{IMAGE_DIGEST}",
        "ImageDigest": IMAGE_DIGEST,
        "ModelDataUrl": PACKAGE_OF_ALL.artefact_url,
    }
    assert request["ModelApprovalStatus"] == "PendingManualApproval"
    statistics = request["ModelMetrics"]["ModelQuality"]["Statistics"]
    assert statistics["ContentDigest"] == f"sha256:{'0d' * 32}"
    assert "ModelMetrics" not in build_package_request(replace(PACKAGE_OF_ALL, report=None))
    assert "Tags" not in request  # a version has its group's; SageMaker refuses others
    check_request(GROUP, build_group_request("roadsense", {"project": "roadsense"}))


def test_properties_keep_the_limits():
    many = replace(PACKAGE_OF_ALL, settings={f"setting_{number}": number for number in range(80)})
    for package in (PACKAGE_OF_ALL, many):
        properties = list_properties(package)
        assert len(properties) <= 50
        assert all(ALLOWED_VALUE.fullmatch(value) for value in properties.values())
        assert all(ALLOWED_VALUE.fullmatch(key) and len(key) <= 128 for key in properties)
        assert properties["dataset_digest"] == "0a" * 32
        assert "unknown" not in properties
    kept = [key for key in list_properties(many) if key.startswith("setting.")]
    assert int(list_properties(many)["settings_left_out"]) == 80 - len(kept)
    assert list_properties(PACKAGE_OF_ALL)["setting.note"].startswith("sha256:")


@pytest.mark.parametrize(
    ("value", "spelt"),
    [
        (0.001, "0.001"),
        (True, "true"),
        ([256, "a,b"], "256 a b"),
        ("", "-"),
        ("größe µ", "größe µ"),
        ("a\tb;c", "a b c"),
    ],
)
def test_values_are_spelt_as_the_registry_takes_them(value, spelt):
    assert spell_value(value) == spelt


@pytest.mark.parametrize("change", [{"group": "others"}, {"image": IMAGE}])
def test_what_cannot_be_registered_is_refused(change):
    with pytest.raises(InputError, match=next(iter(change))):
        replace(PACKAGE_OF_ALL, **change)


@pytest.fixture
def run(aws, tmp_path, monkeypatch):
    """The run that a training job left, fetched; the job is at the stand-in, its image is in the registry."""
    told_inside = {
        "TRAINING_JOB_NAME": SPEC.name, "ROADSENSE_JOB_TARGET": "sagemaker", "ROADSENSE_JOB_DATASET_URL": DATASET,
    }  # fmt: skip
    with monkeypatch.context() as inside:
        for name, value in told_inside.items():
            inside.setenv(name, value)
        config = TrainConfig(dataset_dir="/opt/ml/input/data/dataset/train", seed=3, learning_rate=1e-3)
        made = create_run(tmp_path / "made", config, {"dataset_digest": "0a" * 32})
    made.model_path.write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    with told(Story()):
        boto3.client("s3").create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        ecr = boto3.client("ecr")
        ecr.create_repository(repositoryName="roadsense")
        ecr.put_image(repositoryName="roadsense", imageManifest=MANIFEST, imageTag="abc")
        target = SageMakerTarget()
        target.submit(SPEC)
        leave(SPEC.name, **{path.name.replace(".", "__"): path.read_bytes() for path in made.folder.iterdir()})
        yield target.fetch(SPEC.name, tmp_path / "fetched")


def evaluate(folder, sha256, name="evaluation"):
    (folder / name).mkdir()
    (folder / name / "summary.json").write_text(json.dumps({"collision_rate": 0.1, "of": name}))
    (folder / name / "origin.json").write_text(json.dumps({"policy_sha256": {"policy": sha256}}))
    return folder / name / "summary.json"


def test_a_run_is_registered_with_where_it_comes_from(run, capsys):
    report = evaluate(run / "model", hash_file(run / "model" / "model.zip"))
    evaluate(run / "model", "of another policy", "evaluation_2")
    assert main(["register", str(run)]) == 0
    shown = json.loads(capsys.readouterr().out)["calls"]
    sagemaker = boto3.client("sagemaker")
    assert sagemaker.list_model_packages(ModelPackageGroupName="roadsense")["ModelPackageSummaryList"] == []
    assert main(["register", str(run), "--submit"]) == 0
    arn = capsys.readouterr().out.strip()
    arrived = sagemaker.describe_model_package(ModelPackageName=arn)
    for name, value in shown[-1]["request"].items():
        assert arrived[name] == value, name
    facts, job = arrived["CustomerMetadataProperties"], sagemaker.describe_training_job(TrainingJobName=SPEC.name)
    assert facts["job_arn"] == job["TrainingJobArn"]
    assert facts["dataset_digest"] == "0a" * 32
    assert facts["dataset_url"] == DATASET
    assert facts["model_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert facts["seeds"] == "3"
    assert facts["setting.learning_rate"] == "0.001"
    assert len(facts["git_commit"]) == 40
    (container,) = arrived["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == f"s3://bucket/roads/jobs/{SPEC.name}/output/model.tar.gz"
    assert re.search(r"@sha256:[0-9a-f]{64}$", container["Image"])
    url = arrived["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]
    sent = boto3.client("s3").get_object(Bucket="bucket", Key=url.removeprefix("s3://bucket/"))["Body"].read()
    assert sent == report.read_bytes()
    assert main(["register", SPEC.name, "--submit"]) == 0
    assert capsys.readouterr().out.strip() == arn.rpartition("/")[0] + "/2"


def test_a_job_is_registered_without_being_fetched_before(run, capsys):
    assert main(["register", SPEC.name]) == 0
    shown = capsys.readouterr()
    assert "no evaluation of this policy" in shown.err
    assert "ModelMetrics" not in json.loads(shown.out)["calls"][-1]["request"]


def test_a_run_that_was_changed_since_is_not_registered_as_the_jobs(run):
    (run / "model" / "model.zip").write_bytes(b"others")
    with pytest.raises(InputError, match="another policy"):
        plan_package(SPEC.name, run / "model", "roadsense")


def test_a_damaged_artefact_is_not_registered(run):
    pack(SPEC.name, model__zip=b"weighty")
    with pytest.raises(TransferError):
        plan_package(SPEC.name, None, "roadsense")


def test_a_run_of_no_training_job_is_refused(tmp_path, capsys):
    made = create_run(tmp_path / "local", TrainConfig(), {})
    made.model_path.write_bytes(b"weights")
    assert main(["register", str(made.folder)]) == InputError.exit_code
    assert "made by no job" in capsys.readouterr().err


def test_an_image_that_is_gone_is_said(run):
    boto3.client("ecr").batch_delete_image(repositoryName="roadsense", imageIds=[{"imageTag": "abc"}])
    with pytest.raises(JobError, match="not in its repository any more"):
        plan_package(SPEC.name, None, "roadsense")


def test_the_policies_allow_every_call_of_it(run, monkeypatch):
    made = record_calls(monkeypatch)
    evaluate(run / "model", hash_file(run / "model" / "model.zip"))
    assert main(["register", str(run), "--submit"]) == 0
    needed = {ACTIONS.get(call, call) for call in made}
    assert {"sagemaker:CreateModelPackage", "sagemaker:CreateModelPackageGroup", "ecr:DescribeImages"} <= needed
    assert sorted(needed - actions(read_policy("sagemaker-submitter"))) == []
