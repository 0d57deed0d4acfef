"""Building by the command, and a real push to a registry of this machine that asks for a password."""

import base64
import hashlib
import json
import os
import re
import secrets
import subprocess
import time
import urllib.request
from dataclasses import dataclass

import bcrypt
import pytest

from roadsense.jobs.aws.ecr import Login
from roadsense.jobs.local.engine import Engine
from roadsense.jobs.local.image import Image, ImageConfig, build_image, push_image, push_to_ecr
from roadsense.jobs.target import JobError

CONFIG = """
version: 0.1
log: {{level: info}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "127.0.0.1:0"}}
auth: {{htpasswd: {{realm: test, path: {folder}/passwords}}}}
"""


@dataclass
class Registry:
    """A registry on 127.0.0.1."""

    host: str
    login: Login

    def read(self, repository, reference):
        """Returns the bytes of a manifest, as the registry serves them."""
        word = base64.b64encode(f"{self.login.user}:{self.login.password}".encode()).decode()
        request = urllib.request.Request(
            f"http://{self.host}/v2/{repository}/manifests/{reference}",
            headers={
                "Authorization": f"Basic {word}",
                "Accept": "application/vnd.docker.distribution.manifest.v2+json, "
                "application/vnd.oci.image.manifest.v1+json",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read()


@pytest.fixture(scope="module")
def registry(engine, tmp_path_factory):
    folder, password = tmp_path_factory.mktemp("registry"), secrets.token_hex(12)
    word = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    (folder / "passwords").write_text(f"AWS:{word}\n")
    (folder / "config.yml").write_text(CONFIG.format(folder=folder))
    log = folder / "log"
    command = ["docker-registry", "serve", folder / "config.yml"]
    with log.open("w") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            end = time.monotonic() + 60
            while not (found := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text())):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield Registry(found[1], Login("AWS", password))
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def image(engine, tmp_path_factory):
    """An image of one file."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY word /\n")
    content = secrets.token_hex(6)
    (folder / "word").write_text(content)
    tag = f"roadsense:tiny-{content}"
    engine.run(["build", "--tag", tag, str(folder)])
    yield Image(tag, "", content, 1)
    engine.run(["image", "rm", "--force", tag])


@pytest.fixture
def watched(engine, tmp_path):
    """The engine, and a file of every command line it was given."""
    lines = tmp_path / "lines"
    program = tmp_path / "podman"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {lines}\nexec {engine.program} "$@"\n')
    program.chmod(0o755)
    return Engine(str(program)), lines


def test_what_is_pushed_has_the_digest_that_is_recorded_and_the_password_is_seen_nowhere(
    registry, image, watched, monkeypatch, tmp_path
):
    engine, lines = watched
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "home"))
    digest = push_image(image, engine, f"{registry.host}/roadsense", registry.login)
    tag = image.tag.partition(":")[2]
    manifest = registry.read("roadsense", tag)
    assert digest == f"sha256:{hashlib.sha256(manifest).hexdigest()}"
    assert registry.read("roadsense", digest) == manifest
    assert json.loads(manifest)["layers"]
    assert "--password-stdin" in lines.read_text()
    assert registry.login.password not in lines.read_text()
    kept = [path for path in (tmp_path / "home").rglob("*auth*")] if (tmp_path / "home").exists() else []
    assert not kept


def test_a_wrong_password_ends_it_and_is_not_shown(registry, image, engine):
    wrong = Login("AWS", "wrong-and-not-to-be-seen")
    with pytest.raises(JobError, match="login` failed") as caught:
        push_image(image, engine, f"{registry.host}/roadsense", wrong)
    assert wrong.password not in str(caught.value)


class HereEcr:
    """Stands where `Ecr` does, before the registry of this machine: moto's ECR takes no pushes."""

    def __init__(self, registry, moved=False):
        self._registry, self._moved = registry, moved

    def open_repository(self, name):
        return f"{self._registry.host}/{name}"

    def log_in(self):
        return self._registry.login

    def find_digest(self, name, tag):
        try:
            manifest = self._registry.read(name, tag)
        except urllib.error.HTTPError:
            return None
        return f"sha256:{hashlib.sha256(manifest).hexdigest()}" if not self._moved else "sha256:of-another"


def test_a_push_to_ecr_is_done_once_and_compared(registry, image, watched):
    engine, lines = watched
    place, digest = push_to_ecr(image, engine, HereEcr(registry), "team/roadsense")
    assert place == f"{registry.host}/team/roadsense"
    assert f"sha256:{hashlib.sha256(registry.read('team/roadsense', digest)).hexdigest()}" == digest
    lines.write_text("")
    assert push_to_ecr(image, engine, HereEcr(registry), "team/roadsense") == (place, digest)
    assert "push" not in lines.read_text()
    with pytest.raises(JobError, match="sha256:of-another"):
        push_to_ecr(image, engine, HereEcr(registry, moved=True), "team/other")


def test_the_command_builds_what_it_names_and_finds_it_again(engine):
    given = tuple(os.environ.get("ROADSENSE_CI_BUILD_ARGS", "").split())
    config = ImageConfig(build_args=given)
    image = build_image(config, engine)
    assert re.fullmatch(r"roadsense:run-[0-9a-f]{12}-[0-9a-f]{12}", image.tag)
    assert image.size > 1e9
    label = '{{index .Config.Labels "org.opencontainers.image.revision"}}'
    assert engine.run(["image", "inspect", "--format", label, image.tag]).strip() == image.commit
    begun = time.monotonic()
    assert build_image(config, engine) == image
    assert time.monotonic() - begun < 20
    engine.run(["image", "rm", image.tag])
