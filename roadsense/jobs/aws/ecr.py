"""AWS's image registry: a repository with fixed tags and scanned images, and the login."""

import base64
from dataclasses import dataclass, field
from typing import Any

from roadsense.cloud.session import CloudError, make_client, translate_errors
from roadsense.errors import InputError

PRESENT, MISSING = "RepositoryAlreadyExistsException", "ImageNotFoundException"
TAGS = [{"Key": "project", "Value": "roadsense"}]


@dataclass(frozen=True)
class Login:
    """A login to a registry, valid for some hours.

    Attributes:
        user: user name.
        password: password; never shown.
    """

    user: str
    password: str = field(repr=False)


class Ecr:
    """The registry of an account in one region.

    Args:
        region: AWS region, e.g. `eu-central-1`; by default the configured one.
    """

    def __init__(self, region: str | None = None):
        self._client = make_client("ecr", region)

    def open_repository(self, name: str) -> str:
        """Creates a repository, unless it exists, and returns its URI.

        Raises:
            InputError: if it exists and allows a tag to move to another image.
        """
        try:
            made = self._ask(
                "create_repository",
                repositoryName=name,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
                tags=TAGS,
            )
            return made["repository"]["repositoryUri"]
        except CloudError as error:
            if error.code != PRESENT:
                raise
        (found,) = self._ask("describe_repositories", repositoryNames=[name])["repositories"]
        if found["imageTagMutability"] != "IMMUTABLE":
            raise InputError(
                f"Expected the repository {name} to keep its tags, but they are {found['imageTagMutability']}: a job "
                "could get another image than it names. Change it: aws ecr put-image-tag-mutability "
                f"--repository-name {name} --image-tag-mutability IMMUTABLE."
            )
        return found["repositoryUri"]

    def find_digest(self, name: str, tag: str) -> str | None:
        """Returns the digest of the image with a tag; None if there is no such image."""
        try:
            found = self._ask("describe_images", repositoryName=name, imageIds=[{"imageTag": tag}])
        except CloudError as error:
            if error.code != MISSING:
                raise
            return None
        return found["imageDetails"][0]["imageDigest"]

    def log_in(self) -> Login:
        """Returns a new login."""
        (data,) = self._ask("get_authorization_token")["authorizationData"]
        user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
        return Login(user, password)

    def _ask(self, operation: str, **request: Any) -> Any:
        with translate_errors():
            return getattr(self._client, operation)(**request)
