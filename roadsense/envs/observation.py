"""What the ego knows, as arrays scaled by fixed physical constants, and which senders it looks at. Pure.

The scales are no statistics: an exported policy needs only its weights, and unused rows of `peers` are 0.

**Who gets a place.** A sender is ahead on the ego's way if a circular arc leads from the ego's position and course to
the sender's: seen from the middle of the two courses it is ahead, and not farther aside than `ASIDE_M` and
`ASIDE_SHARE` of the way; and the courses differ by at most `TURN_RAD`. So cars behind, oncoming ones and those on other
roads get no place, and those round a bend do. The nearest `MAX_PEERS` of them get the rows, in order. An exported
policy brings the same rule as C, see `places.h`.
"""

import math
from collections.abc import Callable
from struct import Struct
from typing import Final, TypedDict

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.sensing import WALKING_MPS
from roadsense.envs.world import State

OBSERVATION_VERSION: Final = 3
"""Rises by one whenever shape, scale or meaning of an observation changes."""
N_PEER_FIELDS_OF = {2: 6, OBSERVATION_VERSION: 8}
"""Versions whose policies still drive, with the number of the first fields of `PEER_FIELDS` that they know. Version 2
knew no place rule: its policies see the senders that have a place now. Any other version is refused."""
KNOWN_VERSIONS = " or ".join(map(str, N_PEER_FIELDS_OF))
"""Those versions in words."""

MAX_PEERS: Final = 8
BOUND: Final = 5.0
"""Scaled values are cut to the range -BOUND..BOUND."""

EGO_FIELDS: Final = ("speed_mps", "acceleration_mps2", "driver_acceleration_mps2", "assist_deceleration_mps2")
SPEED_MPS: Final = 30.0
ACCELERATION_MPS2: Final = 8.0
EGO_SCALE: Final = np.array([SPEED_MPS, ACCELERATION_MPS2, ACCELERATION_MPS2, ACCELERATION_MPS2])
PEER_FIELDS: Final = (
    "forward_m",
    "left_m",
    "relative_speed_mps",
    "acceleration_mps2",
    "relative_heading_rad",
    "age_s",
    "aside_m",
    "steady_acceleration_mps2",
)
FORWARD_M: Final = 100.0
LEFT_M: Final = 20.0
RELATIVE_SPEED_MPS: Final = 20.0
AGE_S: Final = 1.0
ASIDE_SCALE_M: Final = 10.0
PEER_SCALE: Final = np.array(
    [FORWARD_M, LEFT_M, RELATIVE_SPEED_MPS, ACCELERATION_MPS2, 1.0, AGE_S, ASIDE_SCALE_M, ACCELERATION_MPS2]
)

ASIDE_M: Final = 6.0
ASIDE_SHARE: Final = 0.2
TURN_RAD: Final = 2.0
"""A sender on the ego's way is at most this far aside of the arc, plus this share of the way, and turned by this."""

_N_EGO: Final = len(EGO_FIELDS)
_N_PEER: Final = len(PEER_FIELDS)
_MASK_START: Final = _N_EGO + MAX_PEERS * _N_PEER
N_VALUES: Final = _MASK_START + MAX_PEERS
"""Number of values of an observation: the ego's, then those of each peer, then the mask."""
_PACK: Final[list[Callable[..., None]]] = [
    Struct(f"{_N_EGO + n * _N_PEER}f {4 * (MAX_PEERS - n) * _N_PEER}x {n}f {4 * (MAX_PEERS - n)}x").pack_into
    for n in range(MAX_PEERS + 1)
]
"""The functions that write an observation into a row, by number of peers; the rest of the row becomes 0."""
_ONES: Final = [[1.0] * n for n in range(MAX_PEERS + 1)]
_TURN: Final = math.tau
_HALF_TURN: Final = math.pi

Row = NDArray[np.float32]
"""An observation as one array of `N_VALUES`, with leading batch axes where there are any."""


class Observation(TypedDict):
    """`ego` (4,), `peers` (8, 8) and `peer_mask` (8,), all float32, with leading batch axes where there are any."""

    ego: NDArray[np.float32]
    peers: NDArray[np.float32]
    peer_mask: NDArray[np.float32]


def observation_space(version: int = OBSERVATION_VERSION) -> spaces.Dict:
    """Returns the space of `Observation`, or that of an earlier version in `N_PEER_FIELDS_OF`."""
    return spaces.Dict(
        ego=spaces.Box(-BOUND, BOUND, (len(EGO_FIELDS),), np.float32),
        peers=spaces.Box(-BOUND, BOUND, (MAX_PEERS, N_PEER_FIELDS_OF[version]), np.float32),
        peer_mask=spaces.Box(0.0, 1.0, (MAX_PEERS,), np.float32),
    )


def split_observation(rows: Row) -> Observation:
    """Returns views of observations stored in rows of `N_VALUES`, with any leading axes."""
    if rows.ndim == 1:  # twice as fast
        peers = rows[_N_EGO:_MASK_START].reshape(MAX_PEERS, _N_PEER)
        return {"ego": rows[:_N_EGO], "peers": peers, "peer_mask": rows[_MASK_START:]}
    return {
        "ego": rows[..., :_N_EGO],
        "peers": rows[..., _N_EGO:_MASK_START].reshape(*rows.shape[:-1], MAX_PEERS, _N_PEER),
        "peer_mask": rows[..., _MASK_START:],
    }


def hold_course(own: State, before: State | None) -> State:
    """Returns a state of the ego whose course is the one before, if it is slower than walking pace."""
    if own[2] >= WALKING_MPS or before is None:
        return own
    return (own[0], own[1], own[2], own[3], before[4])


def observe(row: Row, ego: State, pedals_mps2: tuple[float, float], channels: list[V2vChannel], step: int) -> None:
    """Writes what the ego knows at a step into a row.

    Args:
        row: (`N_VALUES`,) float32 array to write into.
        ego: the ego's state, from its own sensors, see `hold_course`.
        pedals_mps2: acceleration that the driver asks for, and deceleration that the assist asks for, from 0.
        channels: radio channels with the newest message of each sender; one with more senders than places is fine.
        step: number of the step in the episode.
    """
    ego_x_m, ego_y_m, speed_mps, acceleration_mps2, heading_rad = ego
    driver_mps2, assist_mps2 = pedals_mps2
    along, across = math.cos(heading_rad), math.sin(heading_rad)
    values = [
        _scale(speed_mps, SPEED_MPS),
        _scale(acceleration_mps2, ACCELERATION_MPS2),
        _scale(driver_mps2, ACCELERATION_MPS2),
        _scale(assist_mps2, ACCELERATION_MPS2),
    ]
    ways_m: list[float] = []
    for channel in channels:
        oldest, seconds = step - channel.stale_steps, channel.step_length_s
        for peer, message in enumerate(channel.messages):
            if message is None:
                continue
            sent_step, x_m, y_m, peer_mps, peer_mps2, _ = message
            if sent_step < oldest:
                continue
            peer_rad = channel.courses_rad[peer]
            x_m -= ego_x_m
            y_m -= ego_y_m
            forward_m, left_m = x_m * along + y_m * across, y_m * along - x_m * across
            turn_rad = (peer_rad - heading_rad + _HALF_TURN) % _TURN - _HALF_TURN if peer_rad == peer_rad else 0.0
            cosine, sine = math.cos(turn_rad / 2), math.sin(turn_rad / 2)
            ahead_m, aside_m = forward_m * cosine + left_m * sine, left_m * cosine - forward_m * sine
            if ahead_m <= 0 or abs(aside_m) > ASIDE_M + ASIDE_SHARE * ahead_m or abs(turn_rad) > TURN_RAD:
                continue
            fields = [
                _scale(forward_m, FORWARD_M),
                _scale(left_m, LEFT_M),
                _scale(peer_mps - speed_mps, RELATIVE_SPEED_MPS),
                _scale(peer_mps2, ACCELERATION_MPS2),
                _scale(turn_rad, 1.0),
                _scale((step - sent_step) * seconds, AGE_S),
                _scale(aside_m, ASIDE_SCALE_M),
                _scale(channel.steady_mps2[peer], ACCELERATION_MPS2),
            ]
            place = len(ways_m)
            while place and ways_m[place - 1] > ahead_m:
                place -= 1
            if place == len(ways_m):  # most often
                ways_m.append(ahead_m)
                values += fields
            else:
                ways_m.insert(place, ahead_m)
                values[_N_EGO + place * _N_PEER : _N_EGO + place * _N_PEER] = fields
    n_peers = min(len(ways_m), MAX_PEERS)
    del values[_N_EGO + n_peers * _N_PEER :]
    values += _ONES[n_peers]
    _PACK[n_peers](row, 0, *values)


def _scale(value: float, unit: float) -> float:
    scaled = value / unit
    if scaled > BOUND:
        return BOUND
    return -BOUND if scaled < -BOUND else scaled
