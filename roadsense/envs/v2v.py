"""The radio between the cars: messages are lost, in bursts, come late, and say things with noise.

Every equipped car sends its state at every step. All random draws of an episode are made at its start, as arrays over
all cars and steps; the steps themselves are plain arithmetic, which for the few cars of a convoy is two to four times
as fast as array operations over them.

Loss follows Gilbert's two-state model ("Capacity of a burst-noise channel", 1960): in the bad state every message is
lost, in the good state none; the way into the bad state depends on the distance, the way out on the mean burst.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from roadsense.errors import InputError

State = tuple[float, float, float, float, float]
"""x and y in m, speed in m/s, acceleration in m/s2, heading in rad (0 is east, counter-clockwise)."""

Message = tuple[int, float, float, float, float, float]
"""The step at which it was sent, and the state it tells of."""

DISTANCE_EDGES_M = (20.0, 50.0, 100.0)
"""Where the loss changes: up to 20 m, to 50 m, to 100 m, and beyond."""


@dataclass(frozen=True)
class V2vPreset:
    """A radio.

    Attributes:
        loss: share of lost messages in the four bands of `DISTANCE_EDGES_M`, 0 to 1.
        burst_mean: mean number of messages lost in a row, from 1.
        latency_mean_s: mean time from sending to hearing.
        latency_std_s: standard deviation of it (jitter).
        position_std_m: noise of each coordinate.
        speed_std_mps: noise of the speed.
        acceleration_std_mps2: noise of the acceleration.
        heading_std_rad: noise of the heading.
        range_m: beyond it nothing is heard.
        stale_after_s: a message older than this is forgotten.

    Raises:
        InputError: for a burst shorter than one message, or a loss that bursts so short cannot make up.
    """

    loss: tuple[float, float, float, float]
    burst_mean: float
    latency_mean_s: float
    latency_std_s: float
    position_std_m: float
    speed_std_mps: float
    acceleration_std_mps2: float
    heading_std_rad: float
    range_m: float = 300.0
    stale_after_s: float = 0.5

    def __post_init__(self) -> None:
        if self.burst_mean < 1:
            raise InputError(f"Expected a burst_mean of at least 1, got {self.burst_mean}.")
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
"""As measured on ESP32 hardware (roadsense-v2v, `emulator_params_measured.json`, 2026-02)."""

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
    """Returns a preset by name.

    Raises:
        InputError: if there is none of that name.
    """
    if name not in PRESETS:
        raise InputError(f"Expected a V2V preset of {sorted(PRESETS)}, got {name!r}.")
    return PRESETS[name]


def randomise(preset: V2vPreset, rng: np.random.Generator) -> V2vPreset:
    """Returns a radio around a preset, for domain randomisation; one without noise keeps exact positions.

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


class V2vChannel:
    """What the ego hears of its peers over one episode.

    Attributes:
        messages: newest message heard from each peer, as (step at which it was sent, x, y, speed, acceleration,
            heading), or None if none was heard yet.
        stale_steps: a message sent longer ago than this many steps is to be forgotten.
        step_length_s: time between two messages of a car.

    Args:
        preset: the radio.
        n_peers: cars that send.
        n_steps: steps of the episode.
        step_length_s: time between two messages of a car.
        rng: generator of the episode.
    """

    def __init__(self, preset: V2vPreset, n_peers: int, n_steps: int, step_length_s: float, rng: np.random.Generator):
        self.step_length_s = step_length_s
        self.stale_steps = preset.stale_after_s / step_length_s
        self.messages: list[Message | None] = [None] * n_peers
        shape = (n_steps, n_peers)
        latency_s = np.maximum(rng.normal(preset.latency_mean_s, preset.latency_std_s, shape), 0.0)
        # A message is in the ear at the first step not before its arrival.
        delay = np.ceil(latency_s / step_length_s - 1e-9).astype(np.intp)
        n_slots = int(delay.max(initial=0)) + 1
        noise_std = (
            preset.position_std_m, preset.position_std_m, preset.speed_std_mps,
            preset.acceleration_std_mps2, preset.heading_std_rad,
        )  # fmt: skip
        self._noise = (rng.standard_normal((*shape, 5)) * noise_std).tolist()
        self._chance = rng.uniform(size=shape).tolist()
        self._slot = ((np.arange(n_steps)[:, None] + delay) % n_slots).tolist()
        self._inbox: list[list[Message | None]] = [[None] * n_peers for _ in range(n_slots)]
        self._was_lost = [False] * n_peers
        self._stay_lost = 1 - 1 / preset.burst_mean
        get_lost = [(1 - self._stay_lost) * share / (1 - share) for share in preset.loss]
        self._squared_edges = [edge**2 for edge in DISTANCE_EDGES_M]
        self._near, self._middle, self._far, self._beyond = get_lost
        self._squared_range = preset.range_m**2

    def exchange(self, step: int, states: Sequence[State | None], ego_xy_m: tuple[float, float]) -> None:
        """Sends every peer's state of this step, and hears what arrives by now.

        Args:
            step: step of the episode, counted from 0, once each in order.
            states: true state of each peer; None for a peer that is gone.
            ego_xy_m: position of the ego.
        """
        chances, noises, slots, was_lost = self._chance[step], self._noise[step], self._slot[step], self._was_lost
        ego_x_m, ego_y_m = ego_xy_m
        for peer, state in enumerate(states):
            if state is None:
                was_lost[peer] = True
                continue
            x_m, y_m, speed_mps, acceleration_mps2, heading_rad = state
            squared_m2 = (x_m - ego_x_m) ** 2 + (y_m - ego_y_m) ** 2
            threshold = self._stay_lost if was_lost[peer] else self._chance_to_get_lost(squared_m2)
            lost = was_lost[peer] = chances[peer] < threshold or squared_m2 >= self._squared_range
            if not lost:
                dx_m, dy_m, dv_mps, da_mps2, dh_rad = noises[peer]
                # Of two messages for one step the later sent replaces the other.
                self._inbox[slots[peer]][peer] = (
                    step, x_m + dx_m, y_m + dy_m, speed_mps + dv_mps, acceleration_mps2 + da_mps2, heading_rad + dh_rad
                )  # fmt: skip
        self._hear(self._inbox[step % len(self._inbox)])

    def _chance_to_get_lost(self, squared_m2: float) -> float:
        near, middle, far = self._squared_edges
        if squared_m2 < middle:
            return self._near if squared_m2 < near else self._middle
        return self._far if squared_m2 < far else self._beyond

    def _hear(self, arrived: list[Message | None]) -> None:
        for peer, message in enumerate(arrived):
            if message is not None:
                heard = self.messages[peer]
                if heard is None or message[0] > heard[0]:
                    self.messages[peer] = message
