"""The tags of everything that is made for a job, and what must not be in them or in its parameters."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from roadsense.cloud.session import find_owner
from roadsense.errors import InputError
from roadsense.utils.times import write_time

SECRET_NAME = re.compile(r"password|passwd|secret|token|credential|api_?key|access_?key", re.IGNORECASE)
SECRET_VALUE = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----|\bgh[pousr]_\w{30,}")


def make_tags(job: str, own: Mapping[str, str], deadline: datetime, facts: Mapping[str, str]) -> dict[str, str]:
    """Returns the tags for everything that is created for a job.

    Args:
        job: name of the job.
        own: tags that its user gave it.
        deadline: latest end of the job, with time zone.
        facts: further tags, such as `dataset_digest` and `git_commit`; empty values are left out.
    """
    return {
        **own,
        "project": "roadsense",
        "roadsense:job": job,
        "roadsense:owner": find_owner(),
        "roadsense:deadline": write_time(deadline),
        **{f"roadsense:{name.replace('_', '-')}": value for name, value in facts.items() if value},
    }


def check_tags(tags: Mapping[str, str]) -> None:
    """Checks the tags that a user gives a job.

    Raises:
        InputError: naming the first one that cannot be used.
    """
    for key, value in tags.items():
        if not isinstance(value, str) or len(value) > 256 or not 0 < len(key) <= 128:
            raise InputError(f"Expected tags of texts, at most 128 and 256 long, got {key!r}: {value!r}.")
        if key == "project" or key.lower().startswith(("aws:", "roadsense:")):
            raise InputError(f"Expected tags of your own, got {key!r}, which is set for every job.")


def refuse_secrets(values: Mapping[str, Any]) -> None:
    """Refuses values, at any depth, that look like secrets: who may look at a job or its machine can read them.

    Raises:
        InputError: naming the first such value.
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            refuse_secrets(value)
        if SECRET_NAME.search(str(name)) or SECRET_VALUE.search(str(value)):
            raise InputError(
                f"Expected parameters and tags without secrets, but {name!r} looks like one, and whoever may look at "
                "the job can read it. Give the job's role the right instead."
            )
