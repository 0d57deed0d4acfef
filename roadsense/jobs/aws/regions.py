"""Lists what costs money in all regions of an account, so that nothing is forgotten."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from roadsense.cloud.session import make_client, translate_errors
from roadsense.errors import RoadSenseError
from roadsense.jobs.target import JobStatus, UnansweredError

N_AT_ONCE = 8
"""Number of regions that are asked at the same time."""


def list_everywhere(home: str, list_costing: Callable[[str], list[JobStatus]]) -> list[JobStatus]:
    """Returns what costs money now in all regions that the account has enabled.

    Args:
        home: region that is asked for the list of regions.
        list_costing: function that returns what costs money in a region.

    Raises:
        UnansweredError: if a region does not answer, because something may cost money there; with what the others said.
    """
    with translate_errors():
        regions = [item["RegionName"] for item in make_client("ec2", home).describe_regions()["Regions"]]

    def _ask(region: str) -> list[JobStatus] | str:
        try:
            return list_costing(region)
        except RoadSenseError as error:
            return f"{region} ({error})"

    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        answers = list(pool.map(_ask, regions))
    failed = [answer for answer in answers if isinstance(answer, str)]
    found = [status for answer in answers if not isinstance(answer, str) for status in answer]
    if failed:
        raise UnansweredError(f"Expected an answer from every region, got none from {', '.join(failed)}.", found)
    return found
