"""The stand-in for AWS of `tests/jobs`."""

from tests.jobs.conftest import aws, aws_server, no_aws

__all__ = ["aws", "aws_server", "no_aws"]
