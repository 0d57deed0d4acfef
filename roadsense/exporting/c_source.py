"""The policy as plain C99: the network's weights and loops, and the observation's scales. No runtime, no allocation."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadsense.envs.assist import DEAD_ZONE, FULL_BRAKING_MPS2
from roadsense.envs.config import EnvConfig
from roadsense.envs.observation import (
    ASIDE_M,
    ASIDE_SHARE,
    BOUND,
    EGO_FIELDS,
    EGO_SCALE,
    MAX_PEERS,
    N_VALUES,
    OBSERVATION_VERSION,
    PEER_FIELDS,
    PEER_SCALE,
    TURN_RAD,
    Observation,
    observe,
    split_observation,
)
from roadsense.envs.radio.channel import STEADY_S, V2vChannel
from roadsense.envs.radio.presets import get_preset
from roadsense.envs.sensing import WALKING_MPS
from roadsense.errors import InputError
from roadsense.policies.actor import Actor

OBSERVATION_HEADER, GOLDEN_HEADER = "observation.h", "golden.h"
PLACES_HEADER, GOLDEN_PLACES_HEADER = "places.h", "golden_places.h"
POLICY_HEADER, POLICY_SOURCE = "policy.h", "policy.c"
SKELETON = "platformio"
SOURCES = Path(__file__).with_name("c")
"""Folder of the C sources: copied, or filled in if they end in `.j2`."""
C = "c"
"""The plain C policy's name among the variants."""


def write_observation_header() -> str:
    """Returns the header, for C and C++, with the observation's shape and scales and the meaning of an action."""
    return _fill(
        f"{OBSERVATION_HEADER}.j2",
        version=OBSERVATION_VERSION,
        ego_fields=EGO_FIELDS,
        peer_fields=PEER_FIELDS,
        n_peers=MAX_PEERS,
        step_ms=round(1000 * EnvConfig().step_length_s),
        bound=BOUND,
        ego_scale=EGO_SCALE,
        peer_scale=PEER_SCALE,
        stale_after_s=get_preset("esp_now").stale_after_s,
        dead_zone=DEAD_ZONE,
        full_braking_mps2=FULL_BRAKING_MPS2,
    )


def write_places_headers() -> dict[str, str]:
    """Returns the headers of the choice of senders, and of its golden scenes, by their names."""
    cars, senders, seen = draw_scenes()
    literals = [np.vectorize(write_float, otypes=[object])(values).tolist() for values in (cars, senders)]
    observed = [np.vectorize(write_float, otypes=[object])(values).tolist() for values in seen.values()]
    places = _fill(
        f"{PLACES_HEADER}.j2",
        aside_m=ASIDE_M,
        aside_share=ASIDE_SHARE,
        turn_rad=TURN_RAD,
        walking_mps=WALKING_MPS,
        steady_s=STEADY_S,
    )
    golden = _fill(
        f"{GOLDEN_PLACES_HEADER}.j2",
        cars=literals[0],
        senders=literals[1],
        rows=list(zip(*observed, strict=True)),
        tolerance=TOLERANCE,
    )
    return {PLACES_HEADER: places, GOLDEN_PLACES_HEADER: golden}


def write_c_policy(actor: Actor, model_sha256: str) -> dict[str, str]:
    """Returns the files of a policy in plain C99 by their names, without `observation.h`.

    Args:
        actor: network of the policy, for actions of one number.
        model_sha256: SHA-256 of the model that the network was read from.

    Raises:
        InputError: if the action has more than one number.
    """
    if actor.low.size != 1:
        raise InputError(f"Expected an action of one number, got one of {actor.low.size}.")
    low, high = actor.low.item(), actor.high.item()
    networks = {"peer": actor.peer_layers, "policy": actor.policy_layers}
    source = _fill(
        f"{POLICY_SOURCE}.j2",
        model_sha256=model_sha256,
        networks={name: layers for name, layers in networks.items() if layers},
        widest=max(layer.bias.size for layers in networks.values() for layer in layers),
        sees_peers_as_set=bool(actor.peer_layers),
        sees_ego=actor.sees_ego,
        n_units=actor.peer_layers[-1].bias.size if actor.peer_layers else 0,
        order=("ego",) if actor.peer_layers else tuple(actor.shapes),
        is_squashed=actor.is_squashed,
        low=low,
        high=high,
        half_range=np.float32((high - low) / 2),
        middle=np.float32((high + low) / 2),
    )
    return {POLICY_HEADER: (SOURCES / POLICY_HEADER).read_text(), POLICY_SOURCE: source}


def write_golden_header(
    observations: Observation, actions: Mapping[str, NDArray[np.float32]], tolerances: Mapping[str, float]
) -> str:
    """Returns golden vectors and a self-test as a header, for C and C++.

    Args:
        observations: observations with a leading batch axis.
        actions: expected actions for them, shape (n, 1), by variant.
        tolerances: largest differences of an action that pass, by variant.
    """
    literals = [np.vectorize(write_float, otypes=[object])(values).tolist() for values in observations.values()]
    return _fill(f"{GOLDEN_HEADER}.j2", rows=list(zip(*literals, strict=True)), actions=actions, tolerances=tolerances)


def write_skeleton(folder: Path) -> None:
    """Copies the firmware around the policy, a PlatformIO project, into `platformio` in the policy's folder."""
    shutil.copytree(SOURCES / SKELETON, folder / SKELETON)


def _fill(name: str, **values: Any) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701, this is C, not HTML
    )
    environment.filters.update(float_literal=write_float, float_literals=write_floats)
    return environment.get_template(name).render(values)


N_SCENES, N_SENDERS = 12, 30
TOLERANCE = 1e-3
"""Largest difference of a scaled value: single against double precision."""
N_NEAR = 12
"""Senders in a scene on the car's road, more than there are places; the others are all around."""


def draw_scenes(seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], Observation]:
    """Returns cars (n, 5), their senders (n, `N_SENDERS`, 7) and the observations, as the C structs hold them.

    Args:
        seed: seed of the scenes.
    """
    rng = np.random.default_rng(seed)
    cars = np.column_stack([rng.uniform(0, 30, N_SCENES), *rng.uniform(-4, 4, (2, N_SCENES)),
                            rng.uniform(0, 8, N_SCENES), rng.uniform(-math.pi, math.pi, N_SCENES)])  # fmt: skip
    senders = np.stack([_draw_senders(rng, course_rad) for course_rad in cars[:, 4]])
    rows = np.empty((N_SCENES, N_VALUES), np.float32)
    for row, car, scene in zip(rows, cars, senders, strict=True):
        _observe(row, car, scene)
    return cars.astype(np.float32), senders.astype(np.float32), split_observation(rows)


def _draw_senders(rng: np.random.Generator, course_rad: float) -> NDArray[np.float64]:
    way_m, turn_rad = rng.uniform(-80, 120, N_SENDERS), rng.uniform(-math.pi, math.pi, N_SENDERS)
    aside_m = rng.uniform(-40, 40, N_SENDERS)
    turn_rad[:N_NEAR], aside_m[:N_NEAR] = rng.uniform(-0.5, 0.5, N_NEAR), rng.uniform(-4, 4, N_NEAR)
    bearing_rad = course_rad + turn_rad / 2
    courses_rad = course_rad + turn_rad
    courses_rad[rng.integers(N_SENDERS, size=3)] = math.nan
    return np.column_stack([
        way_m * np.cos(bearing_rad) - aside_m * np.sin(bearing_rad),
        way_m * np.sin(bearing_rad) + aside_m * np.cos(bearing_rad),
        rng.uniform(0, 30, N_SENDERS), *rng.uniform(-8, 4, (2, N_SENDERS)), courses_rad,
        0.1 * rng.integers(0, 20, N_SENDERS),
    ])  # fmt: skip


def _observe(row: NDArray[np.float32], car: NDArray[np.float64], scene: NDArray[np.float64]) -> None:
    now = 20
    channel = V2vChannel(get_preset("ideal"), len(scene), 1, 0.1, np.random.default_rng(0))
    for place, (east_m, north_m, speed_mps, braking_mps2, steady_mps2, course_rad, age_s) in enumerate(scene.tolist()):
        channel.messages[place] = (now - round(10 * age_s), east_m, north_m, speed_mps, braking_mps2, course_rad)
        channel.courses_rad[place], channel.steady_mps2[place] = course_rad, steady_mps2
    speed_mps, acceleration_mps2, driver_mps2, assist_mps2, course_rad = car.tolist()
    own = (0.0, 0.0, speed_mps, acceleration_mps2, course_rad)
    observe(row, own, (driver_mps2, assist_mps2), [channel], now)


BYTES_A_LINE, FLOATS_A_LINE = 20, 8


def write_float(value: float | np.floating) -> str:
    """Returns a float literal that reads back as the same float32; NaN is `NAN` of `math.h`."""
    return "NAN" if np.isnan(value) else f"{np.float32(value)!s}f"


def write_floats(values: ArrayLike) -> str:
    """Returns the elements of an array initialiser, over several lines."""
    return _wrap([write_float(value) for value in np.asarray(values, np.float32).ravel()], FLOATS_A_LINE)


def write_bytes(content: bytes) -> str:
    """Returns the elements of a byte array's initialiser, over several lines."""
    return _wrap([str(value) for value in content], BYTES_A_LINE)


def camel_case(name: str) -> str:
    """Returns a constant's name: `peer_mask` as `PeerMask`."""
    return "".join(part.capitalize() for part in name.split("_"))


def _wrap(items: list[str], per_line: int) -> str:
    return ",\n".join("    " + ", ".join(items[place : place + per_line]) for place in range(0, len(items), per_line))
