"""Whether the job in this container is alive: what the image's health check asks."""

import sys
from datetime import UTC, datetime, timedelta

from roadsense.jobs.heartbeat import JobBeat, read_beat
from roadsense.jobs.layout import open_layout
from roadsense.jobs.target import JobState

SILENCE = timedelta(minutes=2)
"""The runner writes its state every ten seconds, whatever its notebook does."""


def find_ailment(beat: JobBeat | None, now: datetime) -> str:
    """Returns what is wrong with a job, by what it said last; empty if nothing is.

    Args:
        beat: None if it said nothing, as in a container that runs no job.
        now: with its time zone.
    """
    if beat is None or beat.state in (JobState.DONE, JobState.STOPPED):
        return ""
    if beat.state == JobState.FAILED:
        return f"failed: {beat.reason}"
    silent = now - datetime.fromisoformat(beat.at)
    return f"silent for {silent.total_seconds():.0f} s" if silent > SILENCE else ""


def main() -> int:
    """Runs `python -m roadsense.jobs.health`; returns 0 if the job is well, or there is none, and 1 if it isn't."""
    ailment = find_ailment(read_beat(open_layout().state_path), datetime.now(UTC))
    if ailment:
        sys.stderr.write(f"The job is {ailment}.\n")
    return 1 if ailment else 0


if __name__ == "__main__":
    sys.exit(main())
