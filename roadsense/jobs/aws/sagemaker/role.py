"""Finds the execution role of a SageMaker job: the given role, or that of Studio."""

import os
import re

from roadsense.cloud.session import AccessError, make_client, read_studio, translate_errors
from roadsense.errors import InputError

ROLE_VARIABLE = "ROADSENSE_SAGEMAKER_ROLE"
ASSUMED = re.compile(r"arn:[\w-]+:sts::\d{12}:assumed-role/([^/]+)/.*")


def find_execution_role(role: str | None = None, region: str | None = None) -> str:
    """Returns the ARN of a job's role: the given one, else that of the environment, of Studio, or of the caller.

    Args:
        role: given role; None to look for one.
        region: AWS region for the request that identifies the caller.

    Raises:
        InputError: if the caller is a user and no role was named.
        CloudError: if AWS does not answer.
    """
    known = role or os.environ.get(ROLE_VARIABLE) or read_studio().get("ExecutionRoleArn")
    if known:
        return known
    with translate_errors():
        caller = make_client("sts", region).get_caller_identity()["Arn"]
    match = ASSUMED.fullmatch(caller)
    if not match:
        raise InputError(
            f"Expected an execution role, and {caller} is none. Give --role arn:aws:iam::..., or set {ROLE_VARIABLE}."
        )
    try:
        with translate_errors():  # its path, such as service-role/, is not in the caller's name
            return make_client("iam", region).get_role(RoleName=match[1])["Role"]["Arn"]
    except AccessError as error:
        raise InputError(f"The role {match[1]} may not read itself. Give its ARN in {ROLE_VARIABLE}.") from error
