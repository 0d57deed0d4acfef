"""Reads the log of a job on SageMaker from CloudWatch; the SDK's own reader ignores region and session."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from roadsense.cloud.session import CloudError, translate_errors

GROUP = "/aws/sagemaker/TrainingJobs"
POLL_S = 5.0


def read_lines(logs: Any, job: str, is_over: Callable[[], bool] | None = None) -> Iterator[str]:
    """Yields the lines a job has printed so far, or, with `is_over`, new lines until it is over.

    Args:
        logs: client of CloudWatch Logs.
        job: name of the job.
        is_over: function that returns whether the job has ended; None to yield only the present lines.
    """
    tokens: dict[str, str] = {}
    while True:
        over = is_over is None or is_over()  # asked before reading, so that nothing is missed at the end
        for stream in _list_streams(logs, job):
            yield from _read_stream(logs, stream, tokens)
        if over:
            return
        time.sleep(POLL_S)


def _list_streams(logs: Any, job: str) -> list[str]:
    try:
        with translate_errors():
            pages = logs.get_paginator("describe_log_streams").paginate(
                logGroupName=GROUP, logStreamNamePrefix=f"{job}/"
            )
            return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]
    except CloudError as error:
        if error.code == "ResourceNotFoundException":  # no job has printed a line yet
            return []
        raise


def _read_stream(logs: Any, stream: str, tokens: dict[str, str]) -> Iterator[str]:
    while True:
        token = {"nextToken": tokens[stream]} if stream in tokens else {}
        with translate_errors():
            answer = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token)
        yield from (event["message"].rstrip("\n") for event in answer["events"])
        if not answer["events"] or answer["nextForwardToken"] == tokens.get(stream):
            tokens[stream] = answer["nextForwardToken"]
            return
        tokens[stream] = answer["nextForwardToken"]
