"""Brakings cut from recorded drives: a car's speed over time, as `roadsense drive hazards` writes it."""

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from roadsense.errors import InputError
from roadsense.utils.workspace import resolve

SCHEMA_VERSION = 1
MAX_FILE_BYTES, MAX_PROFILES, MAX_POINTS = 10 * 2**20, 1000, 600
MAX_SPEED_MPS, MAX_STEP_S = 100.0, 1.0


@dataclass(frozen=True)
class RecordedBraking:
    """A braking of a car in a recorded drive.

    Attributes:
        name: where it is from, such as `sample_V002_33s`; results name it.
        step_length_s: time between two speeds.
        speeds_mps: the car's speed from the onset on.
    """

    name: str
    step_length_s: float
    speeds_mps: tuple[float, ...]

    def __post_init__(self) -> None:
        numbers = (self.step_length_s, *self.speeds_mps)
        if not isinstance(self.name, str) or not all(isinstance(one, int | float) for one in numbers):
            raise InputError(f"Expected a recorded braking of a name and numbers, got {self.name!r}.")
        if not 0 < self.step_length_s <= MAX_STEP_S or not 2 <= len(self.speeds_mps) <= MAX_POINTS:
            raise InputError(
                f"{self.name}: expected 2 to {MAX_POINTS} speeds, at most {MAX_STEP_S:g} s apart, got "
                f"{len(self.speeds_mps)}, {self.step_length_s} s apart."
            )
        if not all(0 <= speed <= MAX_SPEED_MPS for speed in self.speeds_mps):
            raise InputError(f"{self.name}: expected speeds from 0 to {MAX_SPEED_MPS:g} m/s, got {self.speeds_mps}.")

    @property
    def lasts_s(self) -> float:
        """Time from the onset to the last speed."""
        return (len(self.speeds_mps) - 1) * self.step_length_s

    def lost_mps(self, time_s: float) -> float:
        """Returns how much speed the car has lost a time after the onset; negative if it has won some."""
        times = np.arange(len(self.speeds_mps)) * self.step_length_s
        return self.speeds_mps[0] - float(np.interp(time_s, times, self.speeds_mps))


def write_recorded(brakings: list[RecordedBraking]) -> str:
    """Returns brakings as JSON, for a file that `read_recorded` reads back."""
    return (
        json.dumps({"schema_version": SCHEMA_VERSION, "brakings": [asdict(one) for one in brakings]}, indent=1) + "\n"
    )


def read_recorded(path: str) -> tuple[RecordedBraking, ...]:
    """Returns the brakings in a file of `roadsense drive hazards`; it is read again only when it has changed.

    Raises:
        InputError: if it is missing, too large, no such file, or holds a value that no braking has.
    """
    path = str(resolve(path))
    try:
        stamp = Path(path).stat()
    except OSError as error:
        raise InputError(
            f"Expected a file of recorded hazards, got {path}: {error}. Make one with `roadsense drive hazards`."
        ) from error
    return _read_once(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=16)
def _read_once(path: str, _stamp_ns: int, size: int) -> tuple[RecordedBraking, ...]:
    if size > MAX_FILE_BYTES:
        raise InputError(f"{path}: expected recorded hazards of at most {MAX_FILE_BYTES} bytes, got {size}.")
    try:
        found: Any = json.loads(Path(path).read_bytes())
        if found["schema_version"] != SCHEMA_VERSION or not 1 <= len(found["brakings"]) <= MAX_PROFILES:
            raise ValueError(f"version {found['schema_version']}, {len(found['brakings'])} brakings")
        return tuple(
            RecordedBraking(str(one["name"]), one["step_length_s"], tuple(one["speeds_mps"]))
            for one in found["brakings"]
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            f"{path}: expected recorded hazards of version {SCHEMA_VERSION}, 1 to {MAX_PROFILES} of them ({error})."
        ) from error
