"""Fits a radio to a log of messages, so that you can train with the figures of your own hardware.

`python -m roadsense.envs.radio.fit LOG.csv` prints a preset as JSON, and on stderr the data behind it. The log's
format is in `roadsense/envs/radio/log.py`.

| figure | fitted as |
|---|---|
| `range_m` | largest distance at which a message was heard, up to the next whole metre; losses beyond it don't count |
| `loss` | share lost in each band of `DISTANCE_EDGES_M`; a band of fewer than `MIN_MESSAGES` takes its neighbour's |
| `burst_mean` | messages after a lost one, by bursts that ended: one that the log cuts off counts as far as seen |
| latency | mean and standard deviation |
| noise | `MEDIAN_TO_STD` times the median of the absolute errors: a few wild errors, as GPS jumps, change it little |
| `stale_after_s` | not fitted |

A radio loses at most `burst_mean / (1 + burst_mean)` of its messages, so a higher loss makes the bursts longer.
"""

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from roadsense.envs.radio.log import ChannelLog, read_log
from roadsense.envs.radio.presets import DISTANCE_EDGES_M, ESP_NOW, V2vPreset, get_preset, preset_to_json
from roadsense.errors import InputError

MIN_MESSAGES = 50
"""Least number of messages within range for a band's loss."""

MIN_VALUES = 20
"""Least number of heard messages for latency and noise, and of bursts for the mean burst."""

MOST_LOSS = 0.95
"""Highest loss for which bursts are made longer; more would make every band's bursts as long as its outages."""

MEDIAN_TO_STD = 1.4826
"""Standard deviation of a normal distribution divided by the median of its absolute values."""

BANDS = ("0 to 20 m", "20 to 50 m", "50 to 100 m", "beyond 100 m")


@dataclass(frozen=True)
class ChannelFit:
    """A radio fitted to a log.

    Attributes:
        preset: figures of the radio.
        n_messages: messages within range in each of the four distance bands.
        notes: warnings about the figures, a sentence each; empty if there were enough messages for every figure.
    """

    preset: V2vPreset
    n_messages: tuple[int, int, int, int]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class FitConfig:
    """Settings of `roadsense fit-channel`.

    Attributes:
        log: CSV of sent and received messages; `roadsense/envs/radio/log.py` describes its columns.
        default: preset with the values of figures that the log does not give.
    """

    log: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="LOG")]
    default: str = "esp_now"


def fit_channel(csv_path: Path | str, default: V2vPreset = ESP_NOW) -> ChannelFit:
    """Returns the radio fitted to a log of messages.

    Args:
        csv_path: path of the log, as described in `roadsense.envs.radio.log`.
        default: preset with the values of figures that the log does not give, each with a note.

    Raises:
        InputError: if the log is not as described, nothing was heard, or every band has fewer than `MIN_MESSAGES`.
    """
    return fit_log(read_log(csv_path), str(csv_path), default)


def fit_log(log: ChannelLog, where: str, default: V2vPreset = ESP_NOW) -> ChannelFit:
    """Returns the radio fitted to a log that was read; see `fit_channel`.

    Args:
        log: sent and received messages.
        where: path or name of the log, for messages of errors.
        default: preset with the values of figures that the log does not give.

    Raises:
        InputError: if nothing was heard, or every band has fewer than `MIN_MESSAGES`.
    """
    if not log.received.any():
        raise InputError(f"Expected a message that was heard, got {len(log.received)} lost ones in {where}.")
    notes = _note_gaps(log)
    range_m = float(math.floor(log.distance_m[log.received].max()) + 1)
    if log.distance_m.max() < range_m:
        notes.append(f"Heard as far as anything was sent: range_m is {range_m:g} m, and the radio may reach further.")
    in_range = log.distance_m < range_m
    shares, n_messages = _fit_loss(log, in_range, notes)
    loss, burst_mean = _reconcile(shares, _fit_burst(log, in_range, notes), notes)
    latency_mean_s, latency_std_s = _fit_latency(log, default, notes)
    errors = log.errors
    position = np.concatenate([errors["x_m"], errors["y_m"]])
    preset = V2vPreset(
        loss=loss,
        burst_mean=burst_mean,
        latency_mean_s=latency_mean_s,
        latency_std_s=latency_std_s,
        position_std_m=_fit_noise("x_m and y_m", position, default.position_std_m, notes),
        speed_std_mps=_fit_noise("speed_mps", errors["speed_mps"], default.speed_std_mps, notes),
        acceleration_std_mps2=_fit_noise(
            "acceleration_mps2", errors["acceleration_mps2"], default.acceleration_std_mps2, notes
        ),
        heading_std_rad=_fit_noise("heading_deg", np.radians(errors["heading_deg"]), default.heading_std_rad, notes),
        range_m=range_m,
        stale_after_s=default.stale_after_s,
    )
    return ChannelFit(preset, n_messages, tuple(notes))


def fit_and_print(config: FitConfig) -> None:
    """Fits a radio to a log of your own hardware's messages, and prints it as JSON, for a file that `--v2v` takes."""
    fit = fit_channel(config.log, get_preset(config.default))
    for band, n_messages in zip(BANDS, fit.n_messages, strict=True):
        sys.stderr.write(f"{band}: {n_messages} messages within range\n")
    for note in fit.notes:
        sys.stderr.write(f"note: {note}\n")
    sys.stdout.write(f"{preset_to_json(fit.preset)}\n")


def _round(figure: float) -> float:
    """Returns a figure with four significant digits: more than any log supports."""
    return float(f"{figure:.4g}")


def _note_gaps(log: ChannelLog) -> list[str]:
    n_gaps = int((~log.follows).sum()) - len(np.unique(log.sender))
    if not n_gaps:
        return []
    return [f"Rows seem to be missing in {n_gaps} places; if those messages were lost, write a row for each of them."]


def _fit_loss(log: ChannelLog, in_range: np.ndarray, notes: list[str]) -> tuple[list[float], tuple[int, int, int, int]]:
    """Returns the share lost and the number of messages in each band."""
    band = np.searchsorted(DISTANCE_EDGES_M, log.distance_m, side="right")
    near, middle, far, beyond = np.bincount(band[in_range], minlength=len(BANDS)).tolist()
    n_messages = (near, middle, far, beyond)
    enough = [index for index, n in enumerate(n_messages) if n >= MIN_MESSAGES]
    if not enough:
        raise InputError(
            f"Expected at least {MIN_MESSAGES} messages within range in one of the bands {', '.join(BANDS)}, "
            f"got {n_messages}. Log for longer."
        )
    shares = {index: _round(float(1 - log.received[in_range & (band == index)].mean())) for index in enough}
    for index in sorted(set(range(len(BANDS))) - set(enough)):
        # Of two equally near bands, the one that loses more, to be careful.
        lender = min(enough, key=lambda other: (abs(other - index), -shares[other]))
        notes.append(f"{BANDS[index]}: only {n_messages[index]} messages; the loss is that of {BANDS[lender]}.")
        shares[index] = shares[lender]
    return [shares[index] for index in range(len(BANDS))], n_messages


def _fit_burst(log: ChannelLog, in_range: np.ndarray, notes: list[str]) -> float:
    """Returns the mean burst, 1 if none was seen to end.

    A burst ends at each next message with the same chance, estimated as in survival analysis: ends seen divided by
    chances to end. So a burst that the log cuts off, or that leaves the range, counts with the messages that were seen.
    """
    chances = log.follows[1:] & in_range[1:] & in_range[:-1] & ~log.received[:-1]
    n_ends = int((chances & log.received[1:]).sum())
    if n_ends < MIN_VALUES and not log.received[in_range].all():
        notes.append(f"burst_mean rests on only {n_ends} bursts whose end was seen.")
    return _round(float(chances.sum() / n_ends)) if n_ends else 1.0


def _reconcile(
    shares: list[float], burst_mean: float, notes: list[str]
) -> tuple[tuple[float, float, float, float], float]:
    """Returns losses and a mean burst that a radio can have together, as near as possible to those seen."""
    most = max(MOST_LOSS, burst_mean / (1 + burst_mean))
    near, middle, far, beyond = (min(share, most) for share in shares)
    needed = max(share / (1 - share) for share in (near, middle, far, beyond))
    if max(shares) > most:
        notes.append(f"A loss of {max(shares)} is taken as {most:.4g}: more would need endless bursts everywhere.")
    if needed > burst_mean:
        notes.append(f"burst_mean is {needed:.4g} instead of the {burst_mean} seen: the losses need it.")
    return (near, middle, far, beyond), max(burst_mean, needed)


def _fit_latency(log: ChannelLog, default: V2vPreset, notes: list[str]) -> tuple[float, float]:
    if len(log.latency_s) < MIN_VALUES:
        notes.append(f"Only {len(log.latency_s)} messages with sent_s and received_s: latency is the default's.")
        return default.latency_mean_s, default.latency_std_s
    return _round(float(log.latency_s.mean())), _round(float(log.latency_s.std()))


def _fit_noise(name: str, errors: np.ndarray, default: float, notes: list[str]) -> float:
    """Returns the standard deviation about 0: a constant error is noise, too, as a preset has no field for it."""
    if len(errors) < MIN_VALUES:
        notes.append(f"Only {len(errors)} true and heard values of {name}: its noise is the default's.")
        return default
    std = MEDIAN_TO_STD * float(np.median(np.abs(errors)))
    if not std and errors.any():
        notes.append(f"Most errors of {name} are exactly 0, and so is its noise: are the values rounded?")
    if abs(float(np.median(errors))) > std / 2:
        notes.append(f"Most errors of {name} have one sign; an offset counts as noise. Better calibrate it away.")
    return _round(std)
