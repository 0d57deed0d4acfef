"""The promises of docs/explanation/security.md have the tests they name, and no secret is in the repository."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROMISES = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", (ROOT / "docs" / "explanation" / "security.md").read_text())
SECRETS = {
    "AWS key": r"\b(?:AKIA|ASIA)(?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}\b",
    "private key": r"-----BEGIN (?:RSA |EC |OPENSSH |DSA )?PRIVATE KEY-----",
    "token of GitHub": r"\bgh[pousr]_[A-Za-z0-9]{36,}\b",
    "token of PyPI": r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}",
    "token of Hugging Face": r"\bhf_[A-Za-z0-9]{30,}\b",
    "password in an address": r"\b[a-z]+://[^/\s:@{}$<>\"']+:[^/\s:@{}$<>\"']{6,}@[\w.-]+",
}
"""Patterns of secrets that services issue, by their name."""
MADE_UP = {ROOT / "tests/jobs/test_user_data.py"}
"""Files with secrets of nobody, which tests need."""


@pytest.mark.parametrize(("path", "test"), PROMISES)
def test_a_promise_has_its_test(path, test):
    assert re.search(rf"^def {test}\b", (ROOT / path).read_text(), re.MULTILINE)


def test_there_are_promises():
    assert len(PROMISES) > 10


def find_secrets(text):
    return [name for name, pattern in SECRETS.items() if re.search(pattern, text)]


@pytest.mark.parametrize(
    "text",
    [
        "AKIA" + "Q" * 16,
        "-----BEGIN " + "PRIVATE KEY-----",
        "ghp_" + "a" * 36,
        "hf_" + "a" * 34,
        "https://me:" + "secret123" + "@example.org",
    ],
)
def test_a_secret_is_found(text):
    assert len(find_secrets(f"key = {text}\n")) == 1


def test_no_secret_is_in_the_repository():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("not a checkout")
    paths = [ROOT / name.decode() for name in listed.stdout.split(b"\0") if name]
    assert len(paths) > 100
    found = {
        path: find_secrets(path.read_text(errors="ignore")) for path in paths if path.is_file() and path not in MADE_UP
    }
    assert not {path: names for path, names in found.items() if names}
