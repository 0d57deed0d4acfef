"""A policy that a SageMaker training job made, with all that is known of it, ready for the model registry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.cloud.s3_transfer import S3Place, S3Transfer
from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.errors import InputError
from roadsense.jobs.ecr import Ecr
from roadsense.jobs.registry_request import (
    GROUP,
    IMAGE_BY_DIGEST,
    PACKAGE,
    Package,
    Report,
    build_group_request,
    build_package_request,
)
from roadsense.jobs.sagemaker import SageMakerTarget
from roadsense.jobs.sagemaker_results import fetch_results
from roadsense.jobs.sagemaker_send import check_request
from roadsense.jobs.target import JobError
from roadsense.runs.run import Run
from roadsense.training.lineage import find_digest, list_changed, read_origin
from roadsense.utils.files import hash_file
from roadsense.utils.scratch import scratch_folder

SUMMARY_NAME, ORIGIN_NAME = "summary.json", "origin.json"
TAGS = {"project": "roadsense"}


@dataclass(frozen=True)
class RegistryPlan:
    """A policy that is about to be registered.

    Attributes:
        package: what is known of it.
        report_path: the evaluation's figures here, to be sent before; None without an evaluation.
        region: of AWS; None for the configured one.
    """

    package: Package
    report_path: Path | None
    region: str | None

    def describe(self) -> dict[str, Any]:
        """Returns every request in its order."""
        calls: list[dict[str, Any]] = []
        if self.package.report is not None:
            calls.append({"service": "s3", "operation": "PutObject", "what": self.package.report.url})
        group = build_group_request(self.package.group, TAGS)
        calls.append({"service": "sagemaker", "operation": GROUP, "request": group, "when": "there is no such group"})
        calls.append({"service": "sagemaker", "operation": PACKAGE, "request": build_package_request(self.package)})
        return {"calls": calls}


def plan_package(job_name: str, run_dir: Path | None, group: str, region: str | None = None) -> RegistryPlan:
    """Looks everything up that the registry is to be told. AWS is asked, nothing is changed.

    The model is fetched and checked: its settings and its manifest are those of the artefact that is registered.

    Args:
        job_name: of a training job that is done.
        run_dir: the run here that was fetched from it and perhaps evaluated; None if there is none.
        group: of the model's versions.
        region: of AWS.

    Raises:
        InputError: if there is no such job, or the run here holds another policy than the job left.
        JobError: if the job isn't done, or its image is not in its repository any more.
        TransferError: if the model is not what the job left.
    """
    job = SageMakerTarget(region).describe(job_name)
    if job.get("TrainingJobStatus") != "Completed":
        raise JobError(
            f"Expected a training job that is done, but {job_name} is no such job. Look: roadsense job list."
        )
    with scratch_folder("roadsense_registry_") as scratch:
        left = Run(fetch_results(job, scratch / "results", region) / "model")
        manifest, config = read_origin(left)
        model_sha256 = hash_file(left.model_path)
        if run_dir is not None and hash_file(Run(run_dir).model_path) != model_sha256:
            raise InputError(f"{run_dir} holds another policy than {job_name} left. Fetch it again, or name the job.")
        report_path = find_report(Run(run_dir), model_sha256) if run_dir else None
        facts = _list_facts(job, left, manifest, config) | {"model_sha256": model_sha256}
    package = Package(
        group=group,
        artefact_url=job["ModelArtifacts"]["S3ModelArtifacts"],
        image=find_image(job["AlgorithmSpecification"]["TrainingImage"], region),
        facts=facts,
        settings=list_changed(config),
        report=_place_report(job, report_path) if report_path else None,
    )
    check_request(GROUP, build_group_request(group, TAGS))
    check_request(PACKAGE, build_package_request(package))
    return RegistryPlan(package, report_path, region)


def register_package(plan: RegistryPlan) -> str:
    """Sends what was planned; returns the ARN of the model's new version.

    By plain requests: the resource layer of the `sagemaker` package expects a name in an answer that has none.

    Raises:
        CloudError: if AWS refuses it.
    """
    client = make_client("sagemaker", plan.region)
    if plan.package.report is not None and plan.report_path is not None:
        above, _, name = plan.package.report.url.rpartition("/")
        _send_as(plan.report_path, above, name, plan.region)
    if not _has_group(client, plan.package.group):
        with translate_errors():
            client.create_model_package_group(**build_group_request(plan.package.group, TAGS))
    with translate_errors():
        return client.create_model_package(**build_package_request(plan.package))["ModelPackageArn"]


def find_report(run: Run, model_sha256: str) -> Path | None:
    """Returns the figures of a run's newest evaluation of this very policy; None if it has none."""
    found = []
    for path in run.folder.glob(f"evaluation*/{SUMMARY_NAME}"):
        origin = path.with_name(ORIGIN_NAME)
        judged = json.loads(origin.read_text()).get("policy_sha256", {}) if origin.is_file() else {}
        if model_sha256 in judged.values():
            found.append(path)
    return max(found, key=lambda path: path.stat().st_mtime) if found else None


def find_image(image: str, region: str | None) -> str:
    """Returns the URI of an image in ECR with its digest, which is asked for unless it is there.

    Raises:
        JobError: if the tag names no image any more.
    """
    if IMAGE_BY_DIGEST.fullmatch(image):
        return image
    name, _, tag = image.rpartition(":")
    digest = Ecr(region).find_digest(name.partition("/")[2], tag)
    if digest is None:
        raise JobError(f"The image {image} is not in its repository any more, so its digest cannot be registered.")
    return f"{name}@{digest}"


def _list_facts(
    job: Mapping[str, Any], run: Run, manifest: Mapping[str, Any], config: Mapping[str, Any]
) -> dict[str, str]:
    told = manifest.get("job") or {}
    is_clean = manifest.get("git_clean")  # None in an image, which is no checkout; who submitted it told the job
    clean = told.get("git_clean", "") if is_clean is None else "yes" if is_clean else "no"
    facts = {
        "job_name": job["TrainingJobName"],
        "job_arn": job["TrainingJobArn"],
        "dataset_digest": find_digest(manifest),
        "dataset_url": told.get("dataset_url"),
        "git_commit": manifest.get("git_commit") or told.get("git_commit"),
        "git_clean": clean,
        "config_sha256": hash_file(run.config_path),
        "seeds": config.get("seeds") or config.get("seed"),
        "observation_version": manifest.get("observation_version"),
        "roadsense_version": manifest.get("versions", {}).get("roadsense"),
    }
    return {name: "" if value in (None, [], ()) else str(value) for name, value in facts.items()}


def _place_report(job: Mapping[str, Any], path: Path) -> Report:
    sha256 = hash_file(path)
    base = job["OutputDataConfig"]["S3OutputPath"].rstrip("/")
    return Report(f"{base}/{job['TrainingJobName']}/registry/evaluation-{sha256[:16]}.json", sha256)


def _send_as(path: Path, url: str, name: str, region: str | None) -> None:
    with scratch_folder("roadsense_report_") as scratch:
        (scratch / name).write_bytes(path.read_bytes())
        S3Transfer(S3Place.parse(url), region).send(scratch, [name])


def _has_group(client: Any, group: str) -> bool:
    try:
        with translate_errors():
            client.describe_model_package_group(ModelPackageGroupName=group)
    except CloudError as error:
        if "does not exist" in str(error):
            return False
        raise
    return True
