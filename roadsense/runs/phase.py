"""The current phase of a training, from its first second: the training writes it, other processes read it."""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from roadsense.errors import RunError
from roadsense.utils.files import check_object, reading, write_atomically

PHASE_NAME = "phase.json"
WRITE_EVERY_S = 0.5


@dataclass(frozen=True)
class Phase:
    """A phase of a training.

    Attributes:
        name: name of the phase.
        done: number of finished steps of the phase.
        total: total number of its steps; 0 if it has none.
    """

    name: str
    done: int = 0
    total: int = 0

    @property
    def share(self) -> float:
        """Finished share of the phase, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else 0.0


class PhaseWriter:
    """Writes the phases of a training into its run folder, each at once and its progress twice a second.

    Args:
        folder: the run folder.
    """

    def __init__(self, folder: Path):
        self._path, self._written_s = folder / PHASE_NAME, 0.0
        self._phase = Phase("")

    def enter(self, name: str, total: int = 0) -> None:
        """Notes that a phase begins."""
        self._phase = Phase(name, 0, total)
        self._write()

    def advance(self, done: int) -> None:
        """Notes how many steps of the phase are done."""
        self._phase = Phase(self._phase.name, done, self._phase.total)
        if time.monotonic() - self._written_s >= WRITE_EVERY_S:
            self._write()

    def _write(self) -> None:
        write_atomically(self._path, json.dumps(asdict(self._phase)) + "\n")
        self._written_s = time.monotonic()


def read_phase(folder: Path) -> Phase | None:
    """Returns the newest phase of the run in a folder; None if the run wrote none."""
    path = folder / PHASE_NAME
    if not path.is_file():
        return None
    with reading(path, "the phase of a training", RunError):
        return Phase(**check_object(json.loads(path.read_bytes()), name=str, done=int, total=int))
