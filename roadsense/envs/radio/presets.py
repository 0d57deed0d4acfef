"""Radios as figures: measured ones, worse ones, a user's own, and random ones around them. Pure."""

import json
import math
from dataclasses import MISSING, asdict, dataclass, fields, replace

import numpy as np

from roadsense.errors import InputError
from roadsense.utils.bounds import bounded, check_bounds
from roadsense.utils.files import reading
from roadsense.utils.workspace import resolve

DISTANCE_EDGES_M = (20.0, 50.0, 100.0)
"""Upper ends of the distance bands of the loss; the fourth band is beyond 100 m."""


@dataclass(frozen=True)
class V2vPreset:
    """Figures of a radio.

    Attributes:
        loss: share of lost messages in the four bands of `DISTANCE_EDGES_M`, 0 to 1.
        burst_mean: mean number of messages lost in a row, from 1.
        latency_mean_s: mean time from sending to hearing.
        latency_std_s: standard deviation of the latency (jitter).
        position_std_m: standard deviation of the noise of each coordinate, from 0.
        speed_std_mps: standard deviation of the noise of the speed, from 0.
        acceleration_std_mps2: standard deviation of the noise of the acceleration, from 0.
        heading_std_rad: standard deviation of the noise of the heading, from 0.
        range_m: distance beyond which nothing is heard.
        stale_after_s: age at which a message is forgotten. Until then its age shows how far to trust it.

    Raises:
        InputError: for a burst shorter than one message, or a loss that needs longer bursts.
    """

    loss: tuple[float, float, float, float]
    burst_mean: float = bounded(MISSING, 1.0, 1000.0)
    latency_mean_s: float = bounded(MISSING, 0.0, 10.0)
    latency_std_s: float = bounded(MISSING, 0.0, 10.0)
    position_std_m: float = bounded(MISSING, 0.0, 1000.0)
    speed_std_mps: float = bounded(MISSING, 0.0, 100.0)
    acceleration_std_mps2: float = bounded(MISSING, 0.0, 100.0)
    heading_std_rad: float = bounded(MISSING, 0.0, math.pi)
    range_m: float = bounded(300.0, 0.0, 100_000.0)
    stale_after_s: float = bounded(2.0, 0.0, 60.0)

    def __post_init__(self) -> None:
        check_bounds(self)
        for share in self.loss:
            if not 0 <= share < 1 or share / (1 - share) > self.burst_mean:
                raise InputError(
                    f"Expected a loss from 0 to burst_mean / (1 + burst_mean) = "
                    f"{self.burst_mean / (1 + self.burst_mean):.3f}, got {share}. Lower it, or lengthen the bursts."
                )


ESP_NOW = V2vPreset(
    loss=(0.058, 0.116, 0.124, 0.186), burst_mean=1.6, latency_mean_s=0.00384, latency_std_s=0.00104,
    position_std_m=2.96, speed_std_mps=0.43, acceleration_std_mps2=0.39, heading_std_rad=math.radians(4.7),
)  # fmt: skip
"""Measured on ESP32 hardware (roadsense-v2v, `emulator_params_measured.json`, 2026-02)."""

PRESETS: dict[str, V2vPreset] = {
    "ideal": V2vPreset((0.0, 0.0, 0.0, 0.0), 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    "esp_now": ESP_NOW,
    "bursty": replace(ESP_NOW, loss=(0.2, 0.25, 0.3, 0.35), burst_mean=6.0),
    "blocked_antenna": replace(ESP_NOW, loss=(0.85, 0.85, 0.85, 0.85), burst_mean=7.0),
    "muted": replace(ESP_NOW, range_m=0.0),
}
"""Radios by name. `blocked_antenna` is a badly placed board, from the same measurements; `muted` hears nothing."""

LOSS_SCALE = (0.5, 2.0)
LATENCY_SCALE = (0.5, 2.0)
POSITION_STD_M = (0.5, 4.4)


def get_preset(name: str) -> V2vPreset:
    """Returns the preset of a name, or the one in a `.json` file in the format of `roadsense fit-channel`.

    Raises:
        InputError: if there is none of that name, or no such file.
    """
    if name.endswith(".json"):
        path = resolve(name)
        if not path.exists():
            raise InputError(f"Expected a V2V preset in {name}, found no file. Make one with `roadsense fit-channel`.")
        with reading(path, "the figures of a radio"):
            return preset_from_json(path.read_text(encoding="utf-8"))
    if name not in PRESETS:
        raise InputError(f"Expected a V2V preset of {sorted(PRESETS)} or a .json file, got {name!r}.")
    return PRESETS[name]


def randomise(preset: V2vPreset, rng: np.random.Generator) -> V2vPreset:
    """Returns a random radio around a preset, for domain randomisation; one without noise keeps exact positions.

    Around `esp_now` this gives loss 2.9 to 25 % within 100 m, latency 1.9 to 7.7 ms and position noise 0.5 to 4.4 m:
    the ranges of the measurements' source.
    """
    most = preset.burst_mean / (1 + preset.burst_mean)
    scale, latency, position_std_m = (rng.uniform(*limits) for limits in (LOSS_SCALE, LATENCY_SCALE, POSITION_STD_M))
    near, middle, far, beyond = (min(share * scale, 0.999 * most) for share in preset.loss)
    return replace(
        preset,
        loss=(near, middle, far, beyond),
        latency_mean_s=preset.latency_mean_s * latency,
        latency_std_s=preset.latency_std_s * latency,
        position_std_m=position_std_m if preset.position_std_m else 0.0,
    )


def preset_to_json(preset: V2vPreset) -> str:
    """Returns a preset of finite figures as JSON, by the names of its fields; `preset_from_json` reads it back.

    Raises:
        InputError: if a figure is not finite.
    """
    try:
        return json.dumps(asdict(preset), indent=2, allow_nan=False)
    except ValueError as error:
        raise InputError(f"Expected finite figures, got {preset}. JSON has no others.") from error


def preset_from_json(text: str) -> V2vPreset:
    """Returns the preset that `preset_to_json` wrote.

    Raises:
        InputError: if it is no JSON, has a missing or unknown field, a figure is no finite number from 0, or the
            losses don't fit the bursts.
    """
    try:
        figures = json.loads(text, parse_int=float)
    except json.JSONDecodeError as error:
        raise InputError(f"Expected a V2V preset as JSON, got {text[:40]!r}: {error}.") from error
    names = [field.name for field in fields(V2vPreset)]
    if not isinstance(figures, dict) or set(figures) != set(names):
        got = sorted(figures) if isinstance(figures, dict) else figures
        raise InputError(f"Expected a V2V preset with the fields {names}, got {got}. Add or delete what differs.")
    loss = figures.pop("loss")
    if not isinstance(loss, list) or len(loss) != len(ESP_NOW.loss):
        raise InputError(f"Expected a loss for each of {len(ESP_NOW.loss)} distance bands, got {loss}.")
    for name, figure in [*figures.items(), *(("loss", share) for share in loss)]:
        if not isinstance(figure, float) or not 0 <= figure < math.inf:
            raise InputError(f"Expected a finite number of at least 0 as {name}, got {figure!r}. Correct it.")
    near, middle, far, beyond = loss
    return V2vPreset(loss=(near, middle, far, beyond), **figures)
