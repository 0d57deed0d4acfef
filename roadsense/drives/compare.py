"""`roadsense drive compare`: where a drive lies outside of what a training saw, the worst first."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tyro
from numpy.typing import NDArray

from roadsense.drives.drive import read_drive
from roadsense.drives.ranges import name_beside, write_ranges
from roadsense.drives.sampling import sample_drive, sample_training
from roadsense.envs.config import EnvConfig
from roadsense.errors import DriveError
from roadsense.utils.bounds import MAX_SEED, bounded, check_bounds
from roadsense.utils.files import write_atomically
from roadsense.utils.tables import markdown_table
from roadsense.utils.workspace import resolve_fields

Floats = NDArray[np.float64]

COVERED = (0.005, 0.995)
"""A training covers what lies between these quantiles of it."""
SLACK = 0.03
"""A value is outside if it lies this share of their distance beyond them."""
SHOWN = (0.05, 0.95)
"""Quantiles of a table's low and high ends."""
UNITS = {
    "speed": "m/s", "gap": "m", "leader's relative speed": "m/s", "message age": "s", "cars heard": "",
    "own braking": "m/s2",
    "acceleration noise, standing": "m/s2", "acceleration noise, moving": "m/s2",
    "acceleration noise, heard": "m/s2", "heard ahead": "m", "heard beside": "m", "heard behind": "m",
}  # fmt: skip
"""Quantities that are compared, with their units; losses by distance are added to them."""


@dataclass(frozen=True)
class CompareConfig:
    """Settings of `roadsense drive compare`.

    Attributes:
        log: folder of the drive.
        dataset: folder of scenarios, or of a dataset, whose train scenarios are driven then.
        ranges_file: new TOML file with ranges for `roadsense gen-scenarios` that cover the drive; what its boxes
            measured and sent with is written beside, as `.sensors.json` for `--sensors` and `.radio.json` for `--v2v`.
        output: new CSV file for the whole table.
        episodes: episodes of the training that are driven for the comparison.
        v2v: radio of these episodes, as of a training; likewise `surroundings` and `sensors`.
        surroundings: who else has a radio in them.
        sensors: what the cars measure with in them.
        seed: seed of these episodes.
        mapping: as of `roadsense drive judge`.
        ego: name of the ego; empty: as the mapping says, else V001.

    Examples:
        >>> import roadsense as rs
        >>> rs.CompareConfig("drives/sample", "scenarios/base").episodes
        20
    """

    log: tyro.conf.Positional[Path]
    dataset: Path
    ranges_file: Path | None = None
    output: Path | None = None
    episodes: int = bounded(20, 1, 10_000)
    v2v: str = "scenario"
    surroundings: str = "scenario"
    sensors: str = "scenario"
    seed: int = bounded(0, 0, MAX_SEED)
    mapping: str = ""
    ego: str = ""

    def __post_init__(self) -> None:
        check_bounds(self)
        resolve_fields(self, "ranges_file", "output")
        self.make_env_config()
        ranges_files = [Path(self.ranges_file), *name_beside(Path(self.ranges_file))] if self.ranges_file else []
        for path in [*ranges_files, *([Path(self.output)] if self.output else [])]:
            if path.exists():
                raise DriveError(f"Expected a new file, but {path} is there. Name another one.")

    def make_env_config(self) -> EnvConfig:
        """Returns the settings of the episodes that stand for the training."""
        return EnvConfig(v2v=self.v2v, surroundings=self.surroundings, sensors=self.sensors)


def compare_samples(drive: Mapping[str, Floats], training: Mapping[str, Floats]) -> pd.DataFrame:
    """Returns a row for each quantity: its ends in drive and training, and which share lies outside, the worst first.

    Args:
        drive: values of `sample_drive`, by quantity.
        training: values of `sample_training`, by quantity.
    """
    rows = []
    for name in dict.fromkeys((*drive, *training)):
        own, theirs = (np.asarray(side.get(name, ()), float) for side in (drive, training))
        own, theirs = own[np.isfinite(own)], theirs[np.isfinite(theirs)]
        outside = np.nan
        if len(own) and len(theirs):
            low, high = np.quantile(theirs, COVERED) if len(theirs) > 1 else (theirs[0], theirs[0])
            slack = SLACK * (high - low) + 1e-9
            outside = float(((own < low - slack) | (own > high + slack)).mean())
        elif len(own):
            outside = 1.0  # the training never saw any
        row = {"quantity": name, "unit": UNITS.get(name, "share"), "outside": outside}
        for side, values in (("drive", own), ("training", theirs)):
            ends = np.quantile(values, [SHOWN[0], 0.5, SHOWN[1]]) if len(values) else [np.nan] * 3
            row |= {f"{side}_{part}": end for part, end in zip(("low", "median", "high"), ends, strict=True)}
            row[f"{side}_n"] = len(values)
        rows.append(row)
    return pd.DataFrame(rows).sort_values("outside", ascending=False, na_position="last", ignore_index=True)


def compare_log(config: CompareConfig) -> pd.DataFrame:
    """Compares a log with what a training saw; returns the table of `compare_samples`, and writes what is asked for.

    Raises:
        DriveError: if the log cannot be read.
        ScenarioError: if the dataset has no scenarios.

    Examples:
        >>> import roadsense as rs
        >>> table = rs.compare_log(rs.CompareConfig("drives/sample", "scenarios/base", episodes=1))
        >>> "speed" in set(table["quantity"])
        True
    """
    return _compare(config)[0]


def compare_and_print(config: CompareConfig) -> None:
    """Compares a drive with what a training saw: distributions, and what lies outside of it, the worst first."""
    table, notes = _compare(config)
    head = ("quantity", "unit", "outside", "drive: 5 %, median, 95 %", "training: 5 %, median, 95 %")
    rows = []
    for row in table.to_dict("records"):
        outside = "-" if np.isnan(row["outside"]) else f"{row['outside']:.0%}"
        rows.append((row["quantity"], row["unit"], outside, _ends(row, "drive"), _ends(row, "training")))
    sys.stdout.write(f"{config.log} beside {config.episodes} episodes of {config.dataset}\n")
    sys.stdout.write(markdown_table(head, rows) + "\n" + "".join(f"note: {note}\n" for note in notes))
    if config.output:
        sys.stdout.write(f"{config.output}: the whole table\n")
    if config.ranges_file:
        _tell_files(Path(config.ranges_file))


def _tell_files(ranges_file: Path) -> None:
    sys.stdout.write(f"{ranges_file}: ranges that cover the drive, for roadsense gen-scenarios --ranges_file\n")
    sensors, radio = name_beside(ranges_file)
    sys.stdout.write(f"{sensors}: its sensors, for roadsense train --sensors\n")
    if radio.is_file():
        sys.stdout.write(f"{radio}: its radio, for roadsense train --v2v, together with its sensors\n")


def _compare(config: CompareConfig) -> tuple[pd.DataFrame, list[str]]:
    """Returns the table, and notes on the ranges if they are asked for."""
    drive = read_drive(config.log, config.mapping, config.ego)
    own = sample_drive(drive)
    training = sample_training(config.dataset, config.make_env_config(), config.episodes, config.seed)
    table = compare_samples(own, training)
    if config.output:
        write_atomically(Path(config.output), table.to_csv(index=False))
    if not config.ranges_file:
        return table, []
    return table, write_ranges(Path(config.ranges_file), drive, own, training)


def _ends(row: Mapping[Any, Any], side: str) -> str:
    ends = [row[f"{side}_{part}"] for part in ("low", "median", "high")]
    return "-" if np.isnan(ends[1]) else ", ".join(f"{end:.3g}" for end in ends)
