"""What the ego knows, as arrays scaled by fixed physical constants. Pure.

The scales are no statistics: an exported policy needs only its weights, and unused rows of `peers` are 0.
"""

import math
from collections.abc import Callable
from struct import Struct
from typing import TypedDict

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.world import State

OBSERVATION_VERSION = 2
"""Rises by one whenever shape, scale or meaning of an observation changes; a policy of another version is refused."""

MAX_PEERS = 8
BOUND = 5.0
"""Scaled values are cut to the range -BOUND..BOUND."""

EGO_FIELDS = ("speed_mps", "acceleration_mps2", "driver_acceleration_mps2", "assist_deceleration_mps2")
SPEED_MPS, ACCELERATION_MPS2 = 30.0, 8.0
EGO_SCALE = np.array([SPEED_MPS, ACCELERATION_MPS2, ACCELERATION_MPS2, ACCELERATION_MPS2])
PEER_FIELDS = (
    "forward_m",
    "left_m",
    "relative_speed_mps",
    "acceleration_mps2",
    "relative_heading_rad",
    "age_s",
)
FORWARD_M, LEFT_M, RELATIVE_SPEED_MPS, AGE_S = 100.0, 20.0, 20.0, 1.0
PEER_SCALE = np.array([FORWARD_M, LEFT_M, RELATIVE_SPEED_MPS, ACCELERATION_MPS2, 1.0, AGE_S])

_N_EGO, _N_PEER = len(EGO_FIELDS), len(PEER_FIELDS)
_MASK_START = _N_EGO + MAX_PEERS * _N_PEER
N_VALUES = _MASK_START + MAX_PEERS
"""Number of values of an observation: the ego's, then those of each peer, then the mask."""
_NO_PEER = (0.0,) * _N_PEER
# Measured: packing the few numbers takes half the time of making an array from a list of all 60.
_PACK: list[tuple[Callable[..., None], Callable[..., None]]] = [
    (Struct(f"{_N_EGO + n * _N_PEER}f").pack_into, Struct(f"{n}f").pack_into) for n in range(MAX_PEERS + 1)
]
"""The functions that write the peers' values and mask into a row, by number of peers."""


Row = NDArray[np.float32]
"""An observation as one array of `N_VALUES`, with leading batch axes where there are any."""


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


def split_observation(rows: Row) -> Observation:
    """Returns views of observations stored in rows of `N_VALUES`, with any leading axes."""
    return {
        "ego": rows[..., :_N_EGO],
        "peers": rows[..., _N_EGO:_MASK_START].reshape(*rows.shape[:-1], MAX_PEERS, _N_PEER),
        "peer_mask": rows[..., _MASK_START:],
    }


def observe(row: Row, ego: State, pedals_mps2: tuple[float, float], channel: V2vChannel, step: int) -> None:
    """Writes what the ego knows at a step into a row.

    Args:
        row: (`N_VALUES`,) float32 array to write into.
        ego: the ego's state, from its own sensors.
        pedals_mps2: acceleration that the driver asks for, and deceleration that the assist asks for, from 0.
        channel: radio channel with up to `MAX_PEERS` peers.
        step: number of the step in the episode.
    """
    ego_x_m, ego_y_m, speed_mps, acceleration_mps2, heading_rad = ego
    driver_mps2, assist_mps2 = pedals_mps2
    values = [
        speed_mps / SPEED_MPS,
        acceleration_mps2 / ACCELERATION_MPS2,
        driver_mps2 / ACCELERATION_MPS2,
        assist_mps2 / ACCELERATION_MPS2,
    ]
    along, across = math.cos(heading_rad), math.sin(heading_rad)
    oldest, seconds = step - channel.stale_steps, channel.step_length_s
    mask = []
    for message in channel.messages:
        if message is None or message[0] < oldest:
            values += _NO_PEER
            mask.append(0.0)
            continue
        sent_step, x_m, y_m, peer_mps, peer_mps2, peer_rad = message
        x_m -= ego_x_m
        y_m -= ego_y_m
        values += (
            (x_m * along + y_m * across) / FORWARD_M,
            (y_m * along - x_m * across) / LEFT_M,
            (peer_mps - speed_mps) / RELATIVE_SPEED_MPS,
            peer_mps2 / ACCELERATION_MPS2,
            (peer_rad - heading_rad + math.pi) % math.tau - math.pi,
            (step - sent_step) * seconds / AGE_S,
        )
        mask.append(1.0)
    for place, value in enumerate(values):
        if value > BOUND or value < -BOUND:  # rare
            values[place] = BOUND if value > BOUND else -BOUND
    pack_values, pack_mask = _PACK[len(mask)]
    row.fill(0.0)
    pack_values(row, 0, *values)
    pack_mask(row, 4 * _MASK_START, *mask)
