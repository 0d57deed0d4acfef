"""The radio between the cars: messages are lost, in bursts, come late, and say things with noise.

Every equipped car sends its state at every step. All random draws of an episode are made at its start, for all cars
and steps in one call each, and a step is a handful of array operations over all peers.

Loss follows Gilbert's two-state model ("Capacity of a burst-noise channel", 1960): in the bad state every message is
lost, in the good state none; the way into the bad state depends on the distance, the way out on the mean burst.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from roadsense.errors import InputError

MESSAGE_FIELDS = ("x_m", "y_m", "speed_mps", "acceleration_mps2", "heading_rad")
"""Columns of a message; those of a vehicle's state."""

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
    """Returns a radio around a preset, for domain randomisation.

    Around `esp_now` this gives loss 2.9 to 25 % within 100 m, latency 1.9 to 7.7 ms and position noise 0.5 to 4.4 m:
    the ranges of the measurements' source.
    """
    most = preset.burst_mean / (1 + preset.burst_mean)
    scale, latency = rng.uniform(*LOSS_SCALE), rng.uniform(*LATENCY_SCALE)
    near, middle, far, beyond = (min(share * scale, 0.999 * most) for share in preset.loss)
    return replace(
        preset,
        loss=(near, middle, far, beyond),
        latency_mean_s=preset.latency_mean_s * latency,
        latency_std_s=preset.latency_std_s * latency,
        position_std_m=rng.uniform(*POSITION_STD_M),
    )


class V2vChannel:
    """What the ego hears of its peers over one episode.

    Attributes:
        heard: (n_peers, 5) newest message heard from each peer, columns as in `MESSAGE_FIELDS`.
        heard_step: (n_peers,) step at which it was sent; far below zero if none was heard.
        stale_steps: a message sent longer ago than this many steps is to be forgotten.

    Args:
        preset: the radio.
        n_peers: cars that send.
        n_steps: steps of the episode.
        step_length_s: time between two messages of a car.
        rng: generator of the episode.
    """

    def __init__(self, preset: V2vPreset, n_peers: int, n_steps: int, step_length_s: float, rng: np.random.Generator):
        self.preset = preset
        self.step_length_s = step_length_s
        self.stale_steps = preset.stale_after_s / step_length_s
        shape = (n_steps, n_peers)
        latency_s = np.maximum(rng.normal(preset.latency_mean_s, preset.latency_std_s, shape), 0.0)
        # A message is in the ear at the first step not before its arrival.
        delay = np.ceil(latency_s / step_length_s - 1e-9).astype(np.intp)
        self._n_slots = int(delay.max(initial=0)) + 1
        self._slot = (np.arange(n_steps)[:, None] + delay) % self._n_slots
        self._noise = rng.standard_normal((*shape, 5))
        self._noise *= (
            preset.position_std_m, preset.position_std_m, preset.speed_std_mps,
            preset.acceleration_std_mps2, preset.heading_std_rad,
        )  # fmt: skip
        self._chance = rng.uniform(size=shape)
        stay_bad = 1 - 1 / preset.burst_mean
        loss = np.array([*preset.loss, 1.0])
        into_bad = np.minimum((1 - stay_bad) * loss / np.maximum(1 - loss, 1e-12), 1.0)
        # Row 0: chance of losing the next message after a heard one, by distance band; row 1: after a lost one.
        self._loss = np.stack([into_bad, np.full(5, stay_bad)])
        self._loss[:, 4] = 1.0
        self._edges_m = np.minimum([*DISTANCE_EDGES_M, preset.range_m], preset.range_m)
        self._was_lost = np.zeros(n_peers, dtype=np.intp)
        self._inbox = np.zeros((self._n_slots, n_peers, 5))
        self._inbox_step = np.full((self._n_slots, n_peers), -(10**6))
        self.heard = np.zeros((n_peers, 5))
        self.heard_step = np.full(n_peers, -(10**6))

    def exchange(self, step: int, states: NDArray[np.float64], ego_xy_m: NDArray[np.float64]) -> None:
        """Sends every peer's state of this step, and hears what arrives by now.

        Args:
            step: step of the episode, counted from 0, once each in order.
            states: (n_peers, 5) true states, columns as in `MESSAGE_FIELDS`; NaN in the row of a peer that is gone.
            ego_xy_m: (2,) position of the ego.
        """
        away_m = states[:, :2] - ego_xy_m
        distance_m = np.sqrt(np.einsum("ij,ij->i", away_m, away_m))
        # NaN sorts behind every edge: a peer that is gone is out of range.
        band = self._edges_m.searchsorted(distance_m, side="right")
        self._was_lost = (self._chance[step] < self._loss[self._was_lost, band]).astype(np.intp)
        sent = np.flatnonzero(self._was_lost == 0)
        slots = self._slot[step, sent]
        self._inbox[slots, sent] = states[sent] + self._noise[step, sent]
        self._inbox_step[slots, sent] = step
        now = step % self._n_slots
        # Of two messages in a slot the later sent has overwritten the other; one older than the heard is dropped.
        newer = np.flatnonzero(self._inbox_step[now] > self.heard_step)
        self.heard[newer] = self._inbox[now, newer]
        self.heard_step[newer] = self._inbox_step[now, newer]
