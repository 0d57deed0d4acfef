"""What the ego knows, as arrays scaled by fixed physical constants. Pure.

Fixed scales and no statistics: the exported policy needs nothing beside its weights, and empty peer slots stay zero.
"""

from typing import TypedDict

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.v2v import V2vChannel

MAX_PEERS = 8
BOUND = 5.0
"""Scaled values are cut to -BOUND..BOUND."""

EGO_FIELDS = ("speed_mps", "acceleration_mps2", "driver_acceleration_mps2", "assist_deceleration_mps2")
EGO_SCALE = np.array([30.0, 8.0, 8.0, 8.0])
PEER_FIELDS = (
    "forward_m",
    "left_m",
    "relative_speed_mps",
    "acceleration_mps2",
    "relative_heading_rad",
    "age_s",
)
PEER_SCALE = np.array([100.0, 20.0, 20.0, 8.0, 1.0, 0.5])

_PEER_FACTOR = 1 / PEER_SCALE


class Observation(TypedDict):
    """`ego` (4,), `peers` (8, 6) and `peer_mask` (8,), all float32, with leading batch axes where there are any."""

    ego: NDArray[np.float32]
    peers: NDArray[np.float32]
    peer_mask: NDArray[np.float32]


def observation_space() -> spaces.Dict:
    """Returns the space of `Observation`."""
    return spaces.Dict(
        ego=spaces.Box(-BOUND, BOUND, (len(EGO_FIELDS),), np.float32),
        peers=spaces.Box(-BOUND, BOUND, (MAX_PEERS, len(PEER_FIELDS)), np.float32),
        peer_mask=spaces.Box(0.0, 1.0, (MAX_PEERS,), np.float32),
    )


def observe(ego_state: NDArray[np.float64], pedals: tuple[float, float], channel: V2vChannel, step: int) -> Observation:
    """Returns what the ego knows at a step.

    Args:
        ego_state: (5,) x, y, speed, acceleration, heading, from its own sensors.
        pedals: what the driver (acceleration) and the assist (deceleration, from 0) ask for, m/s2.
        channel: the radio; up to `MAX_PEERS` peers.
        step: step of the episode.
    """
    ego = np.array((ego_state[2], ego_state[3], *pedals)) / EGO_SCALE
    age_steps = step - channel.heard_step
    fresh = age_steps <= channel.stale_steps
    n_peers = len(fresh)
    peers = np.zeros((MAX_PEERS, len(PEER_FIELDS)))
    scaled = peers[:n_peers]
    scaled[:, :5] = to_ego_frame(channel.heard, ego_state)
    scaled[:, 5] = age_steps * channel.step_length_s
    scaled *= fresh[:, None] * _PEER_FACTOR
    peer_mask = np.zeros(MAX_PEERS, np.float32)
    peer_mask[:n_peers] = fresh
    return Observation(
        ego=ego.clip(-BOUND, BOUND).astype(np.float32),
        peers=np.minimum(np.maximum(peers, -BOUND), BOUND).astype(np.float32),
        peer_mask=peer_mask,
    )


def to_ego_frame(states: NDArray[np.float64], ego_state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns states as seen from the ego.

    Args:
        states: (n, 5) x, y, speed, acceleration, heading.
        ego_state: (5,) the same of the ego.

    Returns:
        (n, 5) metres forward and to the left, speed less the ego's, acceleration, heading less the ego's in
        -pi..pi.
    """
    away = states - ego_state
    along, across = np.cos(ego_state[4]), np.sin(ego_state[4])
    seen = np.empty_like(away)
    seen[:, 0] = away[:, 0] * along + away[:, 1] * across
    seen[:, 1] = away[:, 1] * along - away[:, 0] * across
    seen[:, 2] = away[:, 2]
    seen[:, 3] = states[:, 3]
    seen[:, 4] = (away[:, 4] + np.pi) % (2 * np.pi) - np.pi
    return seen
