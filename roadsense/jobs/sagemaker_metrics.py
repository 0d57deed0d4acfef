"""A SageMaker job's figures while it runs: from its log in CloudWatch, by the expressions of its own request.

SageMaker reads the same lines for its own charts. Its calls for them return single values or a minute's means; the log
has every value that was told, seconds after it was.
"""

from collections.abc import Callable, Iterator
from typing import Any

from roadsense.jobs.metric_series import MetricSeries, count_seeds
from roadsense.jobs.sagemaker import SageMakerTarget


def open_series(target: SageMakerTarget, job: str) -> MetricSeries:
    """Returns an empty series that reads what a job's request asks for."""
    described = target.describe(job)
    defined = described["AlgorithmSpecification"].get("MetricDefinitions", [])
    regexes = {each["Name"]: each["Regex"] for each in defined}
    return MetricSeries(regexes, count_seeds(described.get("HyperParameters", {})))


def fetch_series(job: str, region: str | None = None) -> MetricSeries:
    """Returns the figures a job has told so far, whether it runs or is over.

    Raises:
        InputError: if there is no job of this name.
        CloudError: if AWS doesn't answer.
    """
    target = SageMakerTarget(region)
    return open_series(target, job).take_all(target.logs(job, follow=False))


def follow_series(target: SageMakerTarget, job: str, look: Callable[[MetricSeries], Any]) -> Iterator[str]:
    """Yields the lines a job prints until it is over, but those that tell figures, which go into a series.

    Args:
        target: where it runs.
        job: its name.
        look: called with the series after each look at the log.
    """
    series = open_series(target, job)
    for line in target.logs(job, follow=True, after_look=lambda: look(series)):
        if not series.take(line):
            yield line
