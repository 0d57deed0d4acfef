"""One form of dates and times in tags, records and states: UTC, ISO 8601, seconds."""

from datetime import UTC, datetime


def write_time(moment: datetime | None) -> str:
    """Returns a time with time zone as text; empty for None."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else ""


def say_now() -> str:
    """Returns the present date and time as text."""
    return write_time(datetime.now(UTC))
