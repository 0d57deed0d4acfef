"""The requests that put a policy into SageMaker's model registry, built by pure functions: what they return is sent."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from roadsense.errors import InputError

GROUP, PACKAGE = "CreateModelPackageGroup", "CreateModelPackage"
GROUP_START = "roadsense"
"""Beginning of the names of groups that the policies allow."""
IMAGE_BY_DIGEST = re.compile(r"(?P<name>\S+?)(?::[\w.-]+)?@(?P<digest>sha256:[0-9a-f]{64})")
MOST_FACTS, MOST_CHARACTERS = 50, 256
"""Entries of `CustomerMetadataProperties`, and characters of each value."""
FORBIDDEN = re.compile(r"[^\w\s.:/=+@-]")
"""What the values may not hold."""
SETTING = "setting."


@dataclass(frozen=True)
class Report:
    """An evaluation's figures on S3.

    Attributes:
        url: of the JSON file.
        sha256: of its content, hexadecimal.
    """

    url: str
    sha256: str


@dataclass(frozen=True)
class Package:
    """A policy that is to be registered.

    Attributes:
        group: of its versions.
        artefact_url: the `model.tar.gz` on S3.
        image: what it was trained in, `...@sha256:<digest>`.
        facts: where it comes from; what isn't known is empty.
        settings: those that are not the default.
        report: of its evaluation, if there is one.
    """

    group: str
    artefact_url: str
    image: str
    facts: Mapping[str, str]
    settings: Mapping[str, Any]
    report: Report | None = None

    def __post_init__(self) -> None:
        if not self.group.startswith(GROUP_START):
            raise InputError(f"Expected a group whose name begins with {GROUP_START}, got {self.group!r}.")
        if not IMAGE_BY_DIGEST.fullmatch(self.image):
            raise InputError(f"Expected an image by its digest, ...@sha256:<64 hex digits>, got {self.image!r}.")


def build_group_request(group: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Returns the request `CreateModelPackageGroup`; the tags are those of its versions, too."""
    return {
        "ModelPackageGroupName": group,
        "ModelPackageGroupDescription": "RoadSense: brake assist policies, each with its data, code and settings",
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def build_package_request(package: Package) -> dict[str, Any]:
    """Returns the request `CreateModelPackage`: a new version, which waits for a person's approval.

    The image is the one that trains; it serves nothing, and drives no endpoint.
    """
    image = IMAGE_BY_DIGEST.fullmatch(package.image)
    container = {
        "Image": package.image,
        "ImageDigest": image["digest"] if image else "",
        "ModelDataUrl": package.artefact_url,
    }
    request: dict[str, Any] = {
        "ModelPackageGroupName": package.group,
        "ModelPackageDescription": _describe(package),
        "InferenceSpecification": {
            "Containers": [container],
            "SupportedContentTypes": ["application/json"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "ModelApprovalStatus": "PendingManualApproval",
        "CustomerMetadataProperties": list_properties(package),
    }
    told = {"CommitId": package.facts.get("git_commit"), "GeneratedBy": package.facts.get("job_arn")}
    if any(told.values()):
        request["MetadataProperties"] = {name: value for name, value in told.items() if value}
    if package.report is not None:
        request["ModelMetrics"] = {"ModelQuality": {"Statistics": _point_at(package.report)}}
    return request


def list_properties(package: Package) -> dict[str, str]:
    """Returns where a policy comes from and its settings, within the registry's limits.

    Facts come first. A value that is too long gives way to the SHA-256 of it, and settings beyond the most entries to
    their number; all of them are in the artefact, whose settings file has the SHA-256 `config_sha256`.
    """
    facts = {name: spell_value(value) for name, value in package.facts.items() if value}
    settings = {SETTING + name: spell_value(value) for name, value in package.settings.items()}
    room = MOST_FACTS - len(facts)
    if len(settings) > room:
        kept = dict(list(settings.items())[: room - 1])
        kept["settings_left_out"] = str(len(settings) - len(kept))
        settings = kept
    return facts | settings


def spell_value(value: Any) -> str:
    """Returns a value as the registry takes it: at most 256 letters, digits, spaces and `_.:/=+-@`."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    clean = " ".join(FORBIDDEN.sub(" ", text).split()) or "-"
    return clean if len(clean) <= MOST_CHARACTERS else f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _describe(package: Package) -> str:
    return " ".join(
        f"{name.replace('_', ' ')} {package.facts[name]}."
        for name in ("job_name", "dataset_digest", "git_commit", "model_sha256")
        if package.facts.get(name)
    )[:1024]


def _point_at(report: Report) -> dict[str, str]:
    return {"ContentType": "application/json", "ContentDigest": f"sha256:{report.sha256}", "S3Uri": report.url}
