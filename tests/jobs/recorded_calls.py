"""Which calls of AWS some code makes, to be held against what a policy allows."""

from typing import Any

import boto3
import pytest


def record_calls(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Returns a set that every call made from now on enters: `service:Operation`."""
    made: set[str] = set()
    original = boto3.Session.client

    def recording(session: boto3.Session, service: str, *args: Any, **kwargs: Any) -> Any:
        client = original(session, service, *args, **kwargs)
        client.meta.events.register("before-call", lambda model, **_: made.add(f"{service}:{model.name}"))
        return client

    monkeypatch.setattr(boto3.Session, "client", recording)
    return made
