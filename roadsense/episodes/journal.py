"""The journal of a long evaluation: each row is written when its episode ends, so the same command can continue it."""

import fcntl
import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from roadsense.episodes.plan import Row
from roadsense.errors import RunError
from roadsense.utils.files import check_object, reading


class Journal:
    """Rows of episodes in a file, one line of JSON each; use it in a `with`, which locks the file.

    Args:
        path: path of the file; an existing one is continued.

    Raises:
        RunError: on entering, if another process does the same work.
    """

    def __init__(self, path: Path):
        self.path = path
        self.rows: dict[int, Row] = {}

    def __enter__(self) -> "Journal":
        self._file = self.path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise RunError(
                f"Another process drives the same episodes ({self.path}). Wait for it, or stop it."
            ) from None
        with ExitStack() as closing:
            closing.callback(self._file.close)
            self._read()
            closing.pop_all()
        return self

    def _read(self) -> None:
        with reading(self.path, "rows of episodes", RunError):
            self._file.seek(0)
            text = self._file.read()
            whole = text[: text.rfind("\n") + 1]  # a line that was cut off is driven again
            self.rows = {int(index): check_object(row) for index, row in map(json.loads, whole.splitlines())}
            self._file.truncate(len(whole.encode()))

    def add(self, index: int, row: Row) -> Row:
        """Writes the row of the episode with this index in the plans; returns it as it will be read."""
        line = json.dumps([index, row], default=_as_plain)
        self._file.write(line + "\n")
        self._file.flush()
        return json.loads(line)[1]

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._file.close()


def name_journal(folder: Path, facts: Sequence[object]) -> Path:
    """Returns the path of the journal for work with these facts: other facts give another journal.

    Args:
        folder: folder of the run.
        facts: plans, settings and digests whose `repr` says everything about the work.
    """
    digest = hashlib.sha256(repr(list(facts)).encode()).hexdigest()
    return folder / f".episodes_{digest[:16]}.jsonl"


def _as_plain(value: Any) -> Any:
    return value.item()  # of NumPy
