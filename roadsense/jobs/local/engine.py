"""Finds docker or podman, and runs its commands with the same safe options for both."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from roadsense.errors import InputError
from roadsense.jobs.target import JobError

ENGINE_VARIABLE = "ROADSENSE_ENGINE"
PROGRAMS = ("docker", "podman")
ANSWER_S = 30.0
SHARED_MEMORY = "1g"
"""Size of `/dev/shm`, through which worker processes exchange data; the engines' default is 64 MB."""
MOST_PROCESSES = 4096
MEMORY_SHARE = 0.9
"""Share of this machine's memory that a container may use: one that takes too much is ended, not the machine."""


@dataclass(frozen=True)
class Mount:
    """A folder or file of this machine in a container.

    Attributes:
        source: path on this machine.
        target: path in the container.
        is_writable: whether the container may change it.
    """

    source: Path
    target: str
    is_writable: bool = False

    def __str__(self) -> str:
        kind = f"type=bind,source={self.source.resolve()},target={self.target}"
        return kind if self.is_writable else f"{kind},readonly"


@dataclass(frozen=True)
class Container:
    """A container to start: no network, only mounts and `/tmp` writable, no more rights, bounded memory and processes.

    Attributes:
        image: tag or URI of the image.
        words: arguments of the image's entrypoint.
        name: name of the container; empty to let the engine choose one.
        entrypoint: entrypoint that replaces the image's own; empty to keep it.
        mounts: folders and files of this machine in the container.
        environment: environment variables, by name.
        labels: labels by which the container is found, by name.
    """

    image: str
    words: Sequence[str] = ()
    name: str = ""
    entrypoint: str = ""
    mounts: Sequence[Mount] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)

    def options(self) -> list[str]:
        """Returns the arguments of the engine's `run`, from its options to the entrypoint's arguments."""
        named = ["--name", self.name] if self.name else []
        entry = ["--entrypoint", self.entrypoint] if self.entrypoint else []
        mounts = [word for mount in self.mounts for word in ("--mount", str(mount))]
        environment = [word for name, value in self.environment.items() for word in ("--env", f"{name}={value}")]
        labels = [word for name, value in self.labels.items() for word in ("--label", f"{name}={value}")]
        safe = ["--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
        safe += [f"--shm-size={SHARED_MEMORY}", f"--pids-limit={MOST_PROCESSES}", f"--memory={most_memory_bytes()}b"]
        return [*named, *entry, *safe, *mounts, *environment, *labels, self.image, *self.words]


def most_memory_bytes() -> int:
    """Returns the memory that a container may use."""
    return int(MEMORY_SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


@dataclass(frozen=True)
class Engine:
    """A container engine of this machine that answers.

    Attributes:
        program: `docker`, `podman`, or a path to one of them.
    """

    program: str

    @property
    def is_podman(self) -> bool:
        """Whether the engine is podman, maybe under docker's name; some of its options differ."""
        return _names_itself_podman(self.program)

    def run(self, words: Sequence[str], text: str = "", environment: Mapping[str, str] | None = None) -> str:
        """Runs a command of the engine and returns its standard output.

        Args:
            words: the command and its arguments.
            text: standard input of the command; passwords go here, because other users cannot see it.
            environment: variables in addition to those of this process.

        Raises:
            JobError: if the command fails; with the end of its standard error.
        """
        done = subprocess.run(
            [self.program, *words],
            input=text,
            capture_output=True,
            env={**os.environ, **(environment or {})},
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise JobError(f"`{self.program} {words[0]}` failed with {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    def show(self, words: Sequence[str]) -> None:
        """Runs a command of the engine and shows its output in that of this process.

        Raises:
            JobError: if the command fails.
        """
        code = subprocess.run([self.program, *words], check=False).returncode
        if code != 0:
            raise JobError(f"`{self.program} {words[0]}` failed with {code}; what it said is above.")

    def user_options(self) -> list[str]:
        """Returns the options of `run` that make a container's files belong to the calling user."""
        return [f"--user={calling_user()}", *(["--userns=keep-id"] if self.is_podman and os.geteuid() != 0 else [])]

    def has_image(self, image: str) -> bool:
        """Returns whether an image is in its store."""
        words = [self.program, "image", "inspect", image]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0


def calling_user() -> str:
    """Returns `uid:gid` of this process's user; with sudo, of the user who called sudo."""
    return f"{os.environ.get('SUDO_UID', os.getuid())}:{os.environ.get('SUDO_GID', os.getgid())}"


def find_engine() -> Engine:
    """Returns the engine in `$ROADSENSE_ENGINE`, or the first of docker and podman that answers.

    Raises:
        InputError: if none answers.
    """
    named = os.environ.get(ENGINE_VARIABLE)
    for program in (named,) if named else PROGRAMS:
        if _answers(program):
            return Engine(program)
    raise InputError(
        f"Expected {named or ' or '.join(PROGRAMS)} to answer, got nothing. Install and start one of them, and check "
        f"that `{named or PROGRAMS[0]} info` works without an error for your user."
    )


def has_engine() -> bool:
    """Returns whether `find_engine` finds one."""
    try:
        find_engine()
    except InputError:
        return False
    return True


@cache
def _names_itself_podman(program: str) -> bool:
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False, timeout=ANSWER_S)
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return Path(program).name.startswith("podman")
    return "podman" in done.stdout.lower()


def _answers(program: str) -> bool:
    try:
        return subprocess.run([program, "info"], capture_output=True, check=False, timeout=ANSWER_S).returncode == 0
    except (FileNotFoundError, PermissionError, subprocess.TimeoutExpired):
        return False
