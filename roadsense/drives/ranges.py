"""Ranges, sensors and a radio that cover a drive: what to randomise next."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadsense.augment.draws.ranges import LIMITS, VariationRanges
from roadsense.drives.box_errors import fit_sensors
from roadsense.drives.drive import Drive, SensorLog
from roadsense.drives.motion import smooth
from roadsense.envs.radio.fit import ChannelFit, fit_log
from roadsense.envs.radio.log import ChannelLog
from roadsense.envs.radio.presets import preset_to_json
from roadsense.envs.sensors import sensors_to_json
from roadsense.errors import DriveError
from roadsense.utils.files import write_atomically

Floats = NDArray[np.float64]

ENDS = (0.05, 0.95)
LEAST_VALUES = 20
MARGIN = 1.05
"""Ranges are widened beyond the drive's ends by this factor."""


def make_channel_log(drive: Drive) -> ChannelLog:
    """Returns the messages that the ego could hear, as `roadsense fit-channel` fits them.

    Speeds and accelerations are compared with their own means over half a second: their fast noise is seen, a constant
    error is not. The noise of positions cannot be measured in a drive, and stays the default's.

    Raises:
        DriveError: if no other car logged what it sent.
    """
    parts = [
        _channel_of(drive, place, drive.sensors[car]) for place, car in enumerate(drive.peers) if car in drive.sensors
    ]
    if not parts:
        raise DriveError(
            f"{drive.folder}: expected the log of what another car sent (tx), to count lost messages; got none."
        )
    sender, follows, away_m, received, latency_s, speed, acceleration = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    none = np.empty(0)
    errors = {"x_m": none, "y_m": none, "speed_mps": speed, "acceleration_mps2": acceleration, "heading_deg": none}
    return ChannelLog(sender, follows, away_m, received, latency_s, errors)


def fit_radio(drive: Drive) -> ChannelFit:
    """Returns the radio that fits a drive: loss by distance, bursts, latency, noise of speeds and accelerations.

    Raises:
        DriveError: if no other car logged what it sent.
        InputError: if too few messages were heard.
    """
    return fit_log(make_channel_log(drive), str(drive.folder))


def make_ranges(
    drive: Drive, own: Mapping[str, Floats], training: Mapping[str, Floats]
) -> tuple[VariationRanges, list[str]]:
    """Returns ranges that cover a drive, and a note on each that was widened.

    A factor is the ratio of the drive's ends to the training's; ranges only grow.

    Args:
        drive: the drive.
        own: values of the drive, see `roadsense.drives.sampling.sample_drive`.
        training: values of the training.
    """
    usual = VariationRanges()
    changed: dict[str, tuple[float, float]] = {}
    for name, quantity, least in (("speed_mean", "speed", 5.0), ("convoy_spacing", "gap", 2.0)):
        mine, theirs = (np.asarray(side.get(quantity, ()), float) for side in (own, training))
        mine, theirs = mine[mine > least], theirs[theirs > least]
        if min(len(mine), len(theirs)) >= LEAST_VALUES:
            low, high = (float(np.quantile(mine, end) / np.median(theirs)) for end in ENDS)
            wanted = _widen(getattr(usual, name), low / MARGIN, high * MARGIN, LIMITS[name])
            if wanted != getattr(usual, name):
                changed[name] = wanted
    size = drive.n_ahead + 1
    if size >= 2 and not usual.convoy_size[0] <= size <= usual.convoy_size[1]:
        changed["convoy_size"] = (min(usual.convoy_size[0], size), max(usual.convoy_size[1], size))
    notes = [
        f"{name} is {low:g} to {high:g} instead of {getattr(usual, name)[0]:g} to {getattr(usual, name)[1]:g}."
        for name, (low, high) in changed.items()
    ]
    if "speed_mean" in changed and usual.speed_cut >= changed["speed_mean"][0]:
        return VariationRanges(**changed, speed_cut=round(0.9 * changed["speed_mean"][0], 3)), notes  # type: ignore[arg-type]
    return VariationRanges(**changed), notes  # type: ignore[arg-type]


def name_beside(ranges_file: Path) -> tuple[Path, Path]:
    """Returns the paths of the sensors and of the radio that `write_ranges` writes beside a file of ranges."""
    return ranges_file.with_suffix(".sensors.json"), ranges_file.with_suffix(".radio.json")


def write_ranges(path: Path, drive: Drive, own: Mapping[str, Floats], training: Mapping[str, Floats]) -> list[str]:
    """Writes ranges as TOML and, beside it, the drive's sensors and its radio as JSON; returns notes on all three.

    The sensors have the noise; the radio has none, so that it does not count twice. Without another car's log of what
    it sent there is no radio, and a note says so.

    Args:
        path: path of the TOML file; the others end in `.sensors.json` and `.radio.json`.
        drive: the drive.
        own: values of the drive.
        training: values of the training.

    Raises:
        InputError: if too few messages were heard to fit a radio.
    """
    ranges, notes = make_ranges(drive, own, training)
    sensors, not_told = fit_sensors(drive)
    sensors_path, radio_path = name_beside(path)
    options = f"--sensors {sensors_path.name}"
    if set(drive.peers) & set(drive.sensors):
        fit = fit_radio(drive)
        radio = replace(
            fit.preset, position_std_m=0.0, speed_std_mps=0.0, acceleration_std_mps2=0.0, heading_std_rad=0.0
        )
        write_atomically(radio_path, preset_to_json(radio) + "\n")
        not_told += [note for note in fit.notes if "noise" not in note]
        options += f" --v2v {radio_path.name}"
    else:
        not_told.append("No other car logged what it sent (tx), so lost messages cannot be counted: there is no radio.")
    write_atomically(sensors_path, sensors_to_json(sensors) + "\n")
    lines = [
        f"# Ranges that cover the drive {drive.name}: roadsense gen-scenarios --ranges_file {path.name}",
        f"# What its boxes measured and sent with: roadsense train {options}",
    ]
    for name in sorted(ranges.given):
        value = getattr(ranges, name)
        text = f"[{', '.join(f'{end:g}' for end in value)}]" if isinstance(value, tuple) else f"{value:g}"
        lines.append(f"{name} = {text}")
    write_atomically(path, "\n".join(lines) + "\n")
    return [*notes, *not_told]


def _widen(usual: tuple[float, float], low: float, high: float, limits: tuple[float, float]) -> tuple[float, float]:
    return (
        round(max(min(usual[0], low), limits[0]), 3),
        round(min(max(usual[1], high), limits[1]), 3),
    )


def _channel_of(drive: Drive, place: int, log: SensorLog) -> tuple[Floats, ...]:
    own, heard = drive.own, drive.heard.of(place)
    away_m = np.hypot(
        log.x_m - np.interp(log.time_s, own.time_s[(k := np.isfinite(own.x_m))], own.x_m[k]),
        log.y_m - np.interp(log.time_s, own.time_s[k], own.y_m[k]),
    )
    within = np.isfinite(away_m) & (log.time_s >= 0) & (log.time_s <= drive.duration_s) & ~log.is_stuck
    key, time_s = log.key[within], log.time_s[within]
    known, first = np.unique(heard.key, return_index=True)
    at = np.clip(np.searchsorted(known, key), 0, max(len(known) - 1, 0))
    received = known[at] == key if len(known) else np.zeros(len(key), bool)
    direct = received & (heard.hops[first][at] == 0) if len(known) else received
    latency_s = (
        np.maximum(heard.heard_s[first][at] - heard.sent_s[first][at], 0.0)[direct] if len(known) else np.zeros(0)
    )
    step_s = float(np.median(np.diff(time_s))) if len(time_s) > 1 else 0.1
    follows = np.r_[False, np.diff(time_s) < 1.5 * step_s]
    speed, acceleration = (value[within] for value in (log.speed_mps, log.acceleration_mps2))
    noises = [value[np.isfinite(value)] for value in (speed - smooth(speed), acceleration - smooth(acceleration))]
    return np.full(len(key), place), follows, away_m[within], received, latency_s, *noises
