"""A stand-in for AWS: moto's server on 127.0.0.1, spoken to over HTTP by the same clients as the real one."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import requests
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"


@pytest.fixture(scope="session")
def aws_server() -> Iterator[str]:
    """The address of a server that lives as long as the tests."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def no_aws(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """A machine that knows nothing of AWS: no credentials, no region, no profile, no metadata address."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.fixture
def aws(aws_server: str, no_aws: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty account on the stand-in, with credentials and a region in the environment; its address."""
    requests.post(f"{aws_server}/moto-api/reset", timeout=60).raise_for_status()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:9")  # it has no price list
    return aws_server


@contextmanager
def enforced_policies(address: str) -> Iterator[None]:
    """Within it the stand-in refuses what a caller's policies do not allow, as AWS does; see `test_iam.py`."""
    requests.post(f"{address}/moto-api/reset-auth", data="0", timeout=60).raise_for_status()
    try:
        yield
    finally:
        requests.post(f"{address}/moto-api/reset-auth", data="inf", timeout=60).raise_for_status()
