"""A log of messages over the simulated radio instead of hardware: a sample of the format, with known figures to fit."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.log import QUANTITIES
from roadsense.envs.radio.presets import V2vPreset
from roadsense.envs.world import State
from roadsense.utils.files import write_atomically

CONVOY_SPEED_MPS = 25.0
MIDDLE_M, SWING_M, SWING_S = 160.0, 154.0, 240.0
"""In a simulated log each car moves between 6 and 314 m ahead of the hearer, once in 240 s, at most 4 m/s faster."""


def write_log(
    path: Path | str,
    preset: V2vPreset,
    rng: np.random.Generator,
    n_peers: int = 4,
    n_steps: int = 3000,
    step_length_s: float = 0.1,
) -> Path:
    """Writes the log of a convoy that uses a simulated radio, with every column; returns its path.

    Losses and noise are those of `V2vChannel`. It gives only the step in which a message is heard, so this function
    draws the latencies in the log by the same rule.

    Args:
        path: path of the file to write, in a folder that exists.
        preset: figures of the radio.
        rng: generator of all random draws; the same state gives the same file.
        n_peers: number of cars that send, from 1.
        n_steps: number of messages of each car, from 1.
        step_length_s: time between two messages of a car, above 0.
    """
    prompt = replace(preset, latency_mean_s=0.0, latency_std_s=0.0)
    channel = V2vChannel(prompt, n_peers, n_steps, step_length_s, rng)
    latency_s = np.maximum(rng.normal(preset.latency_mean_s, preset.latency_std_s, (n_steps, n_peers)), 0.0)
    pairs = [f"{side}_{name}" for name in QUANTITIES for side in ("true", "heard")]
    rows = [",".join(["sender", "sequence", "sent_s", "distance_m", "received", "received_s", *pairs])]
    for step in range(n_steps):
        time_s = step * step_length_s
        ego_x_m = CONVOY_SPEED_MPS * time_s
        states = [_swing(time_s, peer / n_peers) for peer in range(n_peers)]
        channel.exchange(step, list(states), (ego_x_m, 0.0))
        for peer, (state, message) in enumerate(zip(states, channel.messages, strict=True)):
            heard = message[1:] if message is not None and message[0] == step else None
            heard_at = f"1,{time_s + latency_s[step, peer]:.6f}" if heard else "0,"
            start = f"V{peer + 2:03d},{step},{time_s:.6f},{state[0] - ego_x_m:.2f},{heard_at}"
            rows.append(",".join([start, *_value_cells(state, heard)]))
    write_atomically(Path(path), "\n".join(rows) + "\n")
    return Path(path)


def _swing(time_s: float, phase: float) -> State:
    """Returns the state of a car of the simulated convoy, which drives east."""
    rate = 2 * math.pi / SWING_S
    angle = rate * time_s + 2 * math.pi * phase
    x_m = CONVOY_SPEED_MPS * time_s + MIDDLE_M - SWING_M * math.cos(angle)
    speed_mps = CONVOY_SPEED_MPS + SWING_M * rate * math.sin(angle)
    return x_m, 0.0, speed_mps, SWING_M * rate**2 * math.cos(angle), 0.0


def _value_cells(state: State, heard: State | None) -> list[str]:
    """Returns the true and heard value of each quantity in turn; headings as on a compass, from 0 to 360 degrees."""
    cells = []
    for index, name in enumerate(QUANTITIES):
        for values in (state, heard):
            value = math.nan if values is None else values[index]
            value = math.degrees(value) % 360 if name == "heading_deg" else value
            cells.append("" if values is None else f"{value:.3f}")
    return cells
