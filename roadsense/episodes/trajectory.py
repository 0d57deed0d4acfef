"""A recorded episode: every vehicle, the ego's figures and every radio message, step by step.

It holds all that the player needs, the road included, so the player needs neither SUMO nor the scenario.
Recording reads every vehicle from SUMO in every step; an episode without recording has no extra cost.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import InputError
from roadsense.utils.files import check_object, reading, write_atomically
from roadsense.utils.workspace import resolve

SCHEMA_VERSION = 1
SUFFIX = ".npz"
LOST = -1
"""In `message_heard_step`: the message never arrives."""

EGO_SERIES = (
    "gap_m", "ttc_s", "time_headway_s", "drac_mps2", "required_mps2", "speed_mps", "leader_speed_mps",
    "acceleration_mps2", "driver_mps2", "assist_mps2", "jerk_mps3", "hazard_active", "collision", "sumo_interventions",
    "action",
)  # fmt: skip
"""Recorded series of the ego: figures of `ConvoyEnv`'s info, and the policy's action."""

Floats = NDArray[np.float32]
Integers = NDArray[np.int32]


@dataclass(frozen=True)
class Trajectory:
    """An episode, step by step.

    Row k of every array over steps is the state after k steps, at `k * step_length_s`; row 0 is the state after the
    reset. Lengths in m, speeds in m/s, headings in rad (0 is east, counter-clockwise).

    Attributes:
        scenario: name of the scenario.
        description: what happens in it, in one sentence.
        facts: the episode's draw and outcome, JSON-like.
        step_length_s: time between two rows.
        vehicle_ids: (n,) id of every vehicle that was on the road, in order of appearance; the ego is `V001`.
        vehicle_types: (n,) SUMO type of each vehicle.
        vehicle_length_m: (n,) length of each vehicle.
        vehicle_width_m: (n,) width of each vehicle.
        x_m: (rows, n) middle of the front bumper, eastward; NaN while the vehicle is not on the road.
        y_m: (rows, n) the same, northward.
        heading_rad: (rows, n) heading of each vehicle.
        speed_mps: (rows, n) speed of each vehicle.
        ego: (rows,) each, series of the ego by the names of `EGO_SERIES`; all but `speed_mps` are NaN in row 0.
            `assist_mps2` is a deceleration, `driver_mps2` an acceleration; times may be infinite.
        message_sender: (m,) sender of each message, as index into `vehicle_ids`.
        message_sent_step: (m,) row in which it was sent.
        message_heard_step: (m,) row in which it is heard, `LOST` if never; it may be after the last row.
        lanes: polyline of each lane's middle, (points, 2) each, those inside junctions included.
        lane_width_m: (lanes,) width of each lane.
        junctions: outline of each junction, (points, 2) each.
    """

    scenario: str
    description: str
    facts: Mapping[str, Any]
    step_length_s: float
    vehicle_ids: tuple[str, ...]
    vehicle_types: tuple[str, ...]
    vehicle_length_m: Floats
    vehicle_width_m: Floats
    x_m: Floats
    y_m: Floats
    heading_rad: Floats
    speed_mps: Floats
    ego: Mapping[str, Floats]
    message_sender: Integers
    message_sent_step: Integers
    message_heard_step: Integers
    lanes: tuple[Floats, ...]
    lane_width_m: Floats
    junctions: tuple[Floats, ...]

    @property
    def n_rows(self) -> int:
        """Number of rows of the arrays over steps: the start and every complete step."""
        return len(self.x_m)

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Time of each row since the episode's start, (rows,)."""
        return np.arange(self.n_rows, dtype=np.float64) * self.step_length_s

    def save(self, path: str | Path) -> Path:
        """Writes it into a compressed `.npz` file, completely or not at all; returns the path.

        Raises:
            InputError: for another suffix.
        """
        path = _checked(path)
        arrays: dict[str, Any] = {}
        words: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "ego": list(self.ego)}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                arrays[field.name] = value
            elif field.name in _POLYLINES:
                arrays[field.name] = np.concatenate([*value, np.zeros((0, 2))]).astype(np.float32)
                arrays[f"{field.name}_lengths"] = np.array([len(line) for line in value], np.int32)
            elif field.name != "ego":
                words[field.name] = value
        arrays["ego"] = np.array(list(self.ego.values()), np.float32)
        arrays["words"] = np.frombuffer(json.dumps(words).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomically(path, buffer.getvalue())
        return path


_POLYLINES = ("lanes", "junctions")
_TUPLES = ("vehicle_ids", "vehicle_types")


def load_trajectory(path: str | Path) -> Trajectory:
    """Reads a file of `Trajectory.save`; nothing in the file is executed.

    Raises:
        InputError: if it does not exist, is no trajectory, or is of another version.
    """
    path = _checked(resolve(path))
    with reading(path, "a recorded episode"), np.load(path, allow_pickle=False) as archive:
        return _read(path, dict(archive))


def _read(path: Path, arrays: dict[str, Any]) -> Trajectory:
    words = check_object(json.loads(arrays.pop("words").tobytes()))
    version = words.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{path}: expected a recorded episode of version {SCHEMA_VERSION}, got {version!r}. Record it again."
        )
    for name in _POLYLINES:
        lengths, points = arrays.pop(f"{name}_lengths"), arrays.pop(name)
        words[name] = tuple(np.split(points, np.cumsum(lengths)[:-1])) if len(lengths) else ()
    for name in _TUPLES:
        words[name] = tuple(words[name])
    words["ego"] = dict(zip(words["ego"], arrays.pop("ego"), strict=True))
    return Trajectory(**words, **arrays)


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if path.suffix != SUFFIX:
        raise InputError(f"Expected a path that ends in {SUFFIX}, got {path}.")
    return path
