"""`roadsense job image`: builds the image, names it by its content, and pushes it to the jobs' registry."""

import hashlib
import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from roadsense.errors import InputError
from roadsense.jobs.aws.ecr import Ecr, Login
from roadsense.jobs.local.engine import Engine, find_engine
from roadsense.jobs.target import JobError
from roadsense.utils.files import hash_file, write_atomically
from roadsense.utils.git_state import read_git_state
from roadsense.utils.scratch import scratch_folder

ROOT = Path(__file__).parents[3]
PASSED_OVER = ("__pycache__", ".ipynb_checkpoints")
RECORDS_DIR = Path("runs") / "images"
SHOWN = 12
"""Number of hexadecimal digits of the commit and of the content in a tag."""


@dataclass(frozen=True)
class ImageConfig:
    """Settings of `roadsense job image`.

    Attributes:
        target: image in docker/Dockerfile: `run`, `export`, `lab`, `gui` or `test`.
        push: whether to push it, by default to the account's ECR.
        registry: another registry, as `host:port`; this user is logged in there, or it needs no login.
        repository: name of the repository in the registry.
        region: AWS region; by default the configured one.
        platform: platform of the machines that run the image. Machines on AWS here are `linux/amd64`; SUMO also has
            packages for `linux/arm64`.
        build_args: further build arguments, as `NAME=VALUE`, such as `TORCH_INDEX=URL`.
    """

    target: Literal["run", "export", "lab", "gui", "test"] = "run"
    push: bool = False
    registry: str | None = None
    repository: str = "roadsense"
    region: str | None = None
    platform: str = "linux/amd64"
    build_args: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in self.build_args:
            if "=" not in text:
                raise InputError(f"Expected build_args as NAME=VALUE, got {text!r}.")


@dataclass(frozen=True)
class Image:
    """A built image, which may also be pushed.

    Attributes:
        tag: tag from commit and content; the same tag is the same image.
        commit: git commit of the code; empty outside of git.
        content: SHA-256 of everything in the build, in hexadecimal.
        size: size on this machine, bytes.
        uri: URI in the registry, with its digest; empty before the push.
        digest: digest of its manifest in the registry; empty before the push.
    """

    tag: str
    commit: str
    content: str
    size: int
    uri: str = ""
    digest: str = ""


def list_content(root: Path = ROOT) -> list[str]:
    """Returns what `docker/Dockerfile` copies of the project into an image, and its own folder."""
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (root / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    return sorted({name.rstrip("/") for names in copied for name in names.split()} | {"docker"})


def hash_content(config: ImageConfig, root: Path = ROOT) -> str:
    """Returns the SHA-256 of everything that goes into an image: files, target and arguments.

    Args:
        config: settings of the image.
        root: folder of the project.
    """
    tops = [root / name for name in list_content(root) if name != "tests" or config.target == "test"]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*")) if file.is_file()]
    whole = hashlib.sha256(repr((config.target, config.platform, sorted(config.build_args))).encode())
    for name, file in sorted((file.relative_to(root).as_posix(), file) for file in files):
        if not set(PASSED_OVER) & set(name.split("/")):
            whole.update(f"{name}\0{hash_file(file)}\n".encode())
    return whole.hexdigest()


def build_image(config: ImageConfig, engine: Engine, root: Path = ROOT) -> Image:
    """Builds an image, unless the engine has it; it gets its tag and `roadsense:<target>`.

    Raises:
        InputError: if the folder is not that of the project.
        JobError: if the image cannot be built.
    """
    recipe = root / "docker" / "Dockerfile"
    if not recipe.is_file():
        raise InputError(f"Expected {recipe}, found none. Build from a clone of the project, with its own roadsense.")
    commit, content = read_git_state(root).commit, hash_content(config, root)
    tag = f"roadsense:{config.target}-{commit[:SHOWN] or 'nogit'}-{content[:SHOWN]}"
    latest = f"roadsense:{config.target}"
    if engine.has_image(tag):
        engine.run(["tag", tag, latest])
    else:
        given = (f"GIT_COMMIT={commit or 'unknown'}", *config.build_args)
        words = [word for argument in given for word in ("--build-arg", argument)]
        # Docker would add attestations; they make the image an index, which SageMaker cannot read.
        kind = ["--format=docker"] if engine.is_podman else ["--provenance=false"]
        places = ["--file", str(recipe), "--tag", tag, "--tag", latest, str(root)]
        engine.show(["build", *kind, "--platform", config.platform, "--target", config.target, *words, *places])
    size = int(engine.run(["image", "inspect", "--format", "{{.Size}}", tag]))
    return Image(tag, commit, content, size)


def push_image(image: Image, engine: Engine, place: str, login: Login | None) -> str:
    """Pushes an image and returns the digest of its manifest in the registry.

    Args:
        image: built image.
        engine: engine that has the image.
        place: `host/repository`.
        login: login to the registry, kept only for this push; None to use the user's own login.

    Raises:
        JobError: if the registry refuses the login or the image.
    """
    host, uri = place.partition("/")[0], f"{place}:{image.tag.partition(':')[2]}"
    with scratch_folder("push-") as folder:
        private = _private(engine, folder) if login is not None else {}
        # docker allows a registry on this machine without TLS; podman needs an option for it.
        is_here = host.split(":")[0] in ("127.0.0.1", "localhost")
        plain = ["--tls-verify=false"] if engine.is_podman and is_here else []
        if login is not None:
            words = ["login", *plain, "--username", login.user, "--password-stdin", host]
            engine.run(words, text=login.password, environment=private)
        engine.run(["tag", image.tag, uri])
        if engine.is_podman:
            digest_path = folder / "digest"
            engine.run(["push", *plain, "--digestfile", str(digest_path), uri], environment=private)
            return digest_path.read_text().strip()
        engine.run(["push", uri], environment=private)
    found = json.loads(engine.run(["image", "inspect", "--format", "{{json .RepoDigests}}", uri]))
    return next(name.partition("@")[2] for name in found if name.startswith(f"{place}@"))


def push_to_ecr(image: Image, engine: Engine, ecr: Ecr, repository: str) -> tuple[str, str]:
    """Pushes an image to ECR, unless its tag exists there; returns the repository's URI and the image's digest.

    Raises:
        JobError: if the image in ECR differs from the pushed one.
    """
    place, tag = ecr.open_repository(repository), image.tag.partition(":")[2]
    there = ecr.find_digest(repository, tag)
    if there is not None:
        return place, there
    digest = push_image(image, engine, place, ecr.log_in())
    there = ecr.find_digest(repository, tag)
    if there != digest:
        raise JobError(f"Expected {place}:{tag} to be the image that was pushed, {digest}, but it is {there}.")
    return place, digest


def make_image(config: ImageConfig) -> None:
    """Builds the image for jobs, unless it exists; with --push pushes it to ECR; prints its name."""
    engine = find_engine()
    image = build_image(config, engine)
    sys.stderr.write(f"{image.tag}: {image.size / 1e9:.2f} GB\n")
    name = image.tag
    if config.push or config.registry:
        if config.registry:
            place = f"{config.registry}/{config.repository}"
            digest = push_image(image, engine, place, None)
        else:
            place, digest = push_to_ecr(image, engine, Ecr(config.region), config.repository)
        name = f"{place}@{digest}"
        image = replace(image, uri=name, digest=digest)
    RECORDS_DIR.mkdir(parents=True, exist_ok=True)
    path = RECORDS_DIR / f"{image.tag.partition(':')[2]}.json"
    write_atomically(path, json.dumps(asdict(image), indent=2) + "\n")
    sys.stdout.write(f"{name}\n")


def _private(engine: Engine, folder: Path) -> dict[str, str]:
    """Returns variables that keep a login in a folder, separate from the user's logins."""
    private = {"DOCKER_CONFIG": str(folder), "REGISTRY_AUTH_FILE": str(folder / "auth.json")}
    if not engine.is_podman:  # its current context is also in the user's settings
        host = engine.run(["context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]).strip()
        private |= {"DOCKER_HOST": host} if host else {}
    return private
