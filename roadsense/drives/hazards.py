"""`roadsense drive hazards`: cuts hard brakings out of drives, for episodes in which a car ahead repeats them."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from roadsense.drives.drive import Drive, read_drive
from roadsense.drives.motion import find_brakings, follow_cars
from roadsense.drives.steps import STEP_S, make_steps
from roadsense.envs.recorded_hazard import RecordedBraking, write_recorded
from roadsense.errors import DriveError, InputError
from roadsense.utils.bounds import bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.workspace import resolve_fields

LEAD_IN_S = 0.3
"""A cut begins this long before the onset, where the car still keeps its speed."""


@dataclass(frozen=True)
class HazardsConfig:
    """Settings of `roadsense drive hazards`.

    Attributes:
        logs: folders of drives.
        output: new file of the brakings, `.json`.
        lasts_s: longest time that is cut out.
        mapping: as of `roadsense drive judge`.
    """

    logs: tyro.conf.Positional[tuple[Path, ...]]
    output: Path
    lasts_s: float = bounded(8.0, 1.0, 50.0)
    mapping: str = ""

    def __post_init__(self) -> None:
        check_bounds(self)
        resolve_fields(self, "output")


def cut_brakings(drive: Drive, lasts_s: float = 8.0) -> list[RecordedBraking]:
    """Returns the hard brakings of the cars ahead of the ego, each as its speed over time.

    Args:
        drive: the drive.
        lasts_s: longest time from the onset.
    """
    steps = make_steps(drive)
    cars = follow_cars(drive, steps)
    found = []
    for braking in find_brakings(steps, cars, drive.n_ahead):
        first = max(braking.first - round(LEAD_IN_S / STEP_S), 0)
        speeds = cars[braking.car].speed_mps[first : braking.first + round(lasts_s / STEP_S)]
        unknown = np.flatnonzero(~np.isfinite(speeds))
        speeds = speeds[: unknown[0]] if len(unknown) else speeds
        if len(speeds) > 1:
            name = re.sub(r"\W", "_", f"{drive.name}_{braking.car}_{braking.onset_s:.0f}s")
            rounded = tuple(round(max(float(speed), 0.0), 2) for speed in speeds)
            found.append(RecordedBraking(name, STEP_S, rounded))
    return found


def cut_and_print(config: HazardsConfig) -> None:
    """Cuts the hard brakings of cars ahead out of drives, into a file that `--recorded_file` takes.

    Raises:
        DriveError: if no drive has any.
        InputError: if the file is there already.
    """
    if config.output.exists():
        raise InputError(f"Expected a new file for the hazards, but {config.output} is there. Name another one.")
    found = [one for log in config.logs for one in cut_brakings(read_drive(log, config.mapping), config.lasts_s)]
    if not found:
        raise DriveError(f"Expected hard brakings of cars ahead in {[str(log) for log in config.logs]}, found none.")
    write_atomically(config.output, write_recorded(found))
    for one in found:
        lost_mps = one.speeds_mps[0] - min(one.speeds_mps)
        sys.stdout.write(f"  {one.name}: {one.speeds_mps[0]:.1f} m/s less {lost_mps:.1f} in {one.lasts_s:.1f} s\n")
    sys.stdout.write(
        f"{config.output}: {len(found)} hazards; train with --recorded_file {config.output} --recorded_share 0.3\n"
    )
