"""The state of the code: its commit, and whether it has uncommitted changes."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class GitState:
    """A state of the code.

    Attributes:
        commit: hash of the commit; empty outside a checkout.
        is_clean: whether the code has no changes since the commit; None outside a checkout.
    """

    commit: str = ""
    is_clean: bool | None = None

    @property
    def clean_word(self) -> str:
        """`yes` or `no`, as written in tags and variables; empty if it isn't known."""
        return "" if self.is_clean is None else "yes" if self.is_clean else "no"


def read_git_state(folder: Path = ROOT) -> GitState:
    """Returns the state of a checkout; by default that of the package."""
    commit = _ask(folder, "rev-parse", "HEAD")
    changes = _ask(folder, "status", "--porcelain")
    if commit is None or changes is None:
        return GitState()
    return GitState(commit, not changes)


def _ask(folder: Path, *words: str) -> str | None:
    try:
        command = ["git", "-C", str(folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
