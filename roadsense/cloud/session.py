"""Clients for AWS: one module for region, retries and connections; checks requests and explains errors."""

import getpass
import json
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from roadsense.cloud.request_checks import check_requests
from roadsense.errors import InputError, RoadSenseError

OWNER_VARIABLE = "ROADSENSE_OWNER"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
STUDIO_METADATA = Path("/opt/ml/metadata/resource-metadata.json")
"""File in Studio's applications and notebook instances; its `ResourceArn` names their region."""
SHARED_USERS = ("root", "ubuntu", "ec2-user", "ssm-user", "sagemaker-user", "jovyan", "roadsense")
"""User names shared by many people; the host's name is added to them."""
ATTEMPTS = 5
CONNECTIONS = 32
CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 60

EXPIRED_CODES = ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired")
INVALID_CODES = (
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "IncompleteSignature",
    "InvalidSignatureException",
)
REFUSED_CODES = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "403")
LOG_IN = "Log in again (`aws sso login`, or your organisation's way), or set AWS_PROFILE to a profile that works."


class CloudError(RoadSenseError):
    """Raised when AWS refuses a request or fails to answer it. `code` is AWS's error code, or empty."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class CredentialsError(InputError):
    """Raised when there are no credentials for AWS, or AWS does not accept them."""


class ExpiredCredentialsError(CredentialsError):
    """Raised when the credentials for AWS have expired."""


class RegionError(InputError):
    """Raised when no AWS region is set, or the name is not an AWS region."""


class RequestError(InputError):
    """Raised when the service's own model does not allow a request; nothing was sent."""


class AccessError(CloudError):
    """Raised when the credentials are valid, but do not allow the request."""


class UnreachableError(CloudError):
    """Raised when the service cannot be reached: no network, unknown region, or wrong endpoint."""


def make_client(service: str, region: str | None = None, patient: bool = True) -> Any:
    """Returns a boto3 client with retries, a connection pool for 32 threads, and a check of every request.

    Nothing is sent, and no credentials are needed yet. `AWS_ENDPOINT_URL` and `AWS_MAX_ATTEMPTS` are honoured.

    Args:
        service: name of the service in boto3, e.g. `ec2`.
        region: AWS region, e.g. `eu-central-1`; by default the one of `find_region`.
        patient: whether to retry and to wait long for an answer; False for requests that may fail.

    Raises:
        InputError: if boto3 is not installed.
        RegionError: if no region is set.
        CredentialsError: if `AWS_PROFILE` names a profile that does not exist.
    """
    with translate_errors():
        from botocore.config import Config

        retries: dict[str, Any] = {"mode": "standard"}
        if not patient or "AWS_MAX_ATTEMPTS" not in os.environ:
            retries["total_max_attempts"] = ATTEMPTS if patient else 1
        config = Config(
            retries=retries,
            max_pool_connections=CONNECTIONS,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S if patient else CONNECT_TIMEOUT_S,
            user_agent_extra="roadsense",
        )
        client = _make_session().client(service, region_name=find_region(region), config=config)
    check_requests(client)
    return client


def find_region(region: str | None = None) -> str:
    """Returns the AWS region: the argument, else that of the environment, the profile or Studio.

    Raises:
        RegionError: if none is set, or the value is not the name of a region.
    """
    found = region or next((os.environ[name] for name in REGION_VARIABLES if os.environ.get(name)), None)
    if not found:
        with translate_errors():
            found = _make_session().region_name or _read_studio_region()
    if not found:
        raise RegionError(
            "Expected an AWS region, and none is set. Give --region, e.g. eu-central-1, or set AWS_REGION, or `region` "
            "in ~/.aws/config."
        )
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", found):
        raise RegionError(f"Expected an AWS region such as eu-central-1, got {found!r}.")
    return found


def find_owner() -> str:
    """Returns the owner of new jobs, for their tag `roadsense:owner`: `ROADSENSE_OWNER`, or the user's name.

    The host's name is added to a user name that many machines share. It sends nothing and needs no credentials.
    """
    owner = os.environ.get(OWNER_VARIABLE)
    if not owner:
        try:
            owner = getpass.getuser()
        except (KeyError, OSError):  # a container that runs under a user id without a name
            owner = f"uid{os.getuid()}"
        if owner in SHARED_USERS:
            owner = f"{owner}@{socket.gethostname()}"
    return re.sub(r"[^\w .:/=+@-]", "-", owner, flags=re.ASCII)[:128]


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turns botocore's errors into ours, which say what to do. A context manager and a decorator for functions."""
    try:
        from botocore import exceptions as theirs
    except ImportError as error:
        raise InputError("Expected boto3, found none. Install it: pip install 'roadsense[cloud]'.") from error
    try:
        yield
    except theirs.ClientError as error:
        raise translate_answer(error) from error
    except (theirs.NoCredentialsError, theirs.PartialCredentialsError, theirs.CredentialRetrievalError) as error:
        raise CredentialsError(f"Expected credentials for AWS, found none that are whole: {error}. {LOG_IN}") from error
    except (theirs.SSOError, theirs.TokenRetrievalError, theirs.LoginError) as error:
        raise ExpiredCredentialsError(f"The log-in to AWS has run out: {error}. {LOG_IN}") from error
    except theirs.ProfileNotFound as error:
        raise CredentialsError(f"{error}. Set AWS_PROFILE to one of ~/.aws/config, or unset it.") from error
    except theirs.NoRegionError as error:
        raise RegionError(f"{error} Give --region, or set AWS_REGION.") from error
    except theirs.ParamValidationError as error:
        raise RequestError(f"This request is not one that AWS allows, nothing was sent. {error}") from error
    except (theirs.ConnectionError, theirs.HTTPClientError) as error:
        raise UnreachableError(
            f"AWS cannot be reached: {error} Check the network, the region's name and AWS_ENDPOINT_URL."
        ) from error
    except theirs.BotoCoreError as error:
        raise CloudError(f"AWS's client failed: {error}") from error


def translate_answer(error: Any) -> RoadSenseError:
    """Returns our error for an error answer of AWS (`botocore.exceptions.ClientError`)."""
    code, message = error.response["Error"].get("Code", ""), error.response["Error"].get("Message", "")
    said = f"{error.operation_name}: {code}: {message.strip()[:500]}"
    if code in EXPIRED_CODES:
        return ExpiredCredentialsError(f"The credentials for AWS have run out ({said}). {LOG_IN}")
    if code in INVALID_CODES:
        return CredentialsError(f"AWS does not know these credentials ({said}). {LOG_IN}")
    if code in REFUSED_CODES:
        return AccessError(f"AWS refused {said} The policies in infra/iam list what is needed.", code)
    return CloudError(f"AWS answered {said}", code)


def _make_session() -> Any:
    """Returns a session with the present credentials. Sessions share only the descriptions of AWS's services."""
    try:
        import boto3
        import botocore.session
    except ImportError as error:
        raise InputError("Expected boto3, found none. Install it: pip install 'roadsense[cloud]'.") from error
    core = botocore.session.get_session()
    core.register_component("data_loader", _make_loader())
    return boto3.Session(botocore_session=core)


@cache
def _make_loader() -> Any:
    from botocore.loaders import create_loader

    return create_loader()


def read_studio() -> dict[str, str]:
    """Returns the metadata of a Studio application or notebook instance; empty elsewhere."""
    try:
        return {key: str(value) for key, value in json.loads(STUDIO_METADATA.read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _read_studio_region() -> str | None:
    fields = read_studio().get("ResourceArn", "").split(":")
    return fields[3] if len(fields) > 3 else None
