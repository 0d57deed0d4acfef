"""All random draws of an episode, made at its start, so that no later step draws from the generator."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.decoy import Decoy, draw_decoy
from roadsense.envs.driver_profile import DriverProfile, draw_driver, draw_gap_errors
from roadsense.envs.hazard import Hazard, draw_hazard
from roadsense.envs.observation import MAX_PEERS
from roadsense.envs.own_parts import draw_own_hazard
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.others import N_TRAFFIC, OthersDraw, Relays
from roadsense.envs.radio.presets import V2vPreset, get_preset, randomise
from roadsense.envs.radio.radio_cars import N_DRAWN, N_SPAWNS
from roadsense.envs.sensing import Sensors
from roadsense.envs.sensors import check_sensors, choose_sensors, draw_sensors, get_sensors
from roadsense.envs.surroundings import Surroundings, draw_surroundings, get_surroundings
from roadsense.errors import InputError
from roadsense.scenarios.scenario import Scenario
from roadsense.utils.values import convert

OWN_HAZARD = 2
"""Part of the seed of the user's own hazard, beside the episode's salt."""
AROUND = 1
"""Part of the seed of everything that is drawn of the surroundings, beside the episode's salt."""
MAX_SUMO_SEED = 2**31 - 1 - 100
RESET_OPTIONS = ("scenario", "hazard", "decoy", "driver", "time_headway_s", "v2v", "surroundings", "sensors")
SPACING_M = (8.0, 40.0)
"""Distances of the cars behind the ego, from front bumper to front bumper."""


@dataclass(frozen=True)
class EpisodeDraw:
    """All random draws of one episode.

    Attributes:
        sumo_seed: random seed of the simulation.
        driver: driver of the ego.
        gap_errors: factor by which that driver misjudges the gap at each step, see `draw_gap_errors`.
        hazard: hazard of the episode, or None.
        radio: V2V preset of the episode.
        channel: radio channel of the convoy's cars ahead, with all its draws.
        surroundings: who else has a radio, and what is relayed.
        sensors: name of what the cars' boxes measure with.
        boxes: the boxes, the ego's first; None if they measure the truth.
        others: all draws of the other senders; None if there are none and nothing is relayed.
    """

    sumo_seed: int
    driver: DriverProfile
    gap_errors: NDArray[np.float64]
    hazard: Hazard | None
    radio: V2vPreset
    channel: V2vChannel
    surroundings: Surroundings
    sensors: str
    boxes: Sensors | None
    others: OthersDraw | None

    def describe(self) -> dict[str, Any]:
        """Returns the draws that `info` holds after a reset."""
        return {
            "sumo_seed": self.sumo_seed,
            "driver": self.driver,
            "hazard": self.hazard,
            "v2v": self.radio,
            "surroundings": self.surroundings,
            "sensors": self.sensors,
            "decoy": None if self.others is None else self.others.decoy,
        }


_ALTERNATIVES: dict[str, tuple[Any, Any, str]] = {
    "hazard": (bool, Hazard, "True, False or a Hazard"),
    "decoy": (bool, Decoy, "True, False or a Decoy"),
    "v2v": (str, V2vPreset, "a preset or the name of one"),
    "surroundings": (str, Surroundings, "Surroundings or the name of some"),
    "sensors": (str, str, "the name of some"),
    "scenario": (str, Path, "the path of a .sumocfg, or the name of a scenario"),
    "driver": (None, DriverProfile, "a DriverProfile"),
    "time_headway_s": (float, (int, float), "a time above 0"),
}
"""What each option may be: a plain value, or an object of a class; and how a message calls it."""


def read_options(options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options of a reset as the draws take them, those that are None left out.

    Raises:
        InputError: for an unknown option, or a value of another type than the class `ConvoyEnv` documents.
    """
    if not isinstance(options, Mapping) or not set(options) <= set(RESET_OPTIONS):
        got = sorted(options) if isinstance(options, Mapping) else options
        raise InputError(f"Expected reset options of {RESET_OPTIONS}, got {got}.")
    read = {name: _read_option(name, value) for name, value in options.items() if value is not None}
    if "sensors" in read:
        check_sensors(read["sensors"])
    return read


def _read_option(name: str, value: Any) -> Any:
    plain, kind, expected = _ALTERNATIVES[name]
    try:
        found = value if isinstance(value, kind) or plain is None else convert(value, plain)
    except ValueError:
        found = None
    is_right = isinstance(found, kind) or (plain in (bool, str) and isinstance(found, plain))
    if not is_right or (plain is float and not 0 < found < math.inf):
        raise InputError(f"Expected the option {name} to be {expected}, got {value!r}.")
    return found


def draw_episode(
    rng: np.random.Generator, config: EnvConfig, scenario: Scenario, options: dict[str, Any]
) -> EpisodeDraw:
    """Returns all random draws of an episode.

    It makes the same draws in the same order with any options, so that episodes of one seed can be compared.

    Args:
        rng: generator of the environment.
        config: settings of the environment.
        scenario: scenario that is driven.
        options: checked options of the reset.
    """
    n_draws, n_ahead = config.n_steps + 1, len(scenario.convoy_ids) - 1
    sumo_seed, salt = (int(seed) for seed in rng.integers(MAX_SUMO_SEED, size=2))
    driver = draw_driver(rng, config.drivers)
    gap_errors = draw_gap_errors(rng, n_draws, config.drivers.gap_error_std, config.step_length_s)
    forced = options.get("hazard")
    if isinstance(forced, Hazard) and not 0 <= forced.car < n_ahead:
        raise InputError(f"Expected the hazard's car from 0 to {n_ahead - 1}, got {forced.car}.")
    hazard = draw_hazard(rng, config.hazards, n_ahead, forced)
    if config.hazard and hazard is not None and not isinstance(forced, Hazard):
        hazard = draw_own_hazard(config.hazard, np.random.default_rng((salt, OWN_HAZARD)), scenario, n_ahead)
    usual = config.find_radio(scenario.v2v)
    radio = randomise(usual, rng)
    if not config.v2v_randomised:
        radio = usual
    if isinstance(asked := options.get("v2v"), V2vPreset):
        radio = asked
    elif asked:
        radio = get_preset(asked)
    n_peers = min(n_ahead, MAX_PEERS)
    around = _draw_around(np.random.default_rng((salt, AROUND)), config, scenario, options, n_peers)
    channel = V2vChannel(radio, n_peers, n_draws, config.step_length_s, rng, around.boxes, 1)
    if "time_headway_s" in options:
        driver = replace(driver, time_headway_s=options["time_headway_s"])
    if "driver" in options:
        driver, gap_errors = options["driver"], np.ones(1)
    others = _draw_others(around, radio, salt, n_peers, config) if around.is_anybody else None
    return EpisodeDraw(
        sumo_seed, driver, gap_errors, hazard, radio, channel, around.surroundings, around.sensors, around.boxes, others
    )


class _Around(NamedTuple):
    """What is drawn of the surroundings before the radio.

    All of it comes from a generator of its own, so that an episode has the same hazard, driver and radio in any
    surroundings.
    """

    rng: np.random.Generator
    surroundings: Surroundings
    decoy: Decoy | None
    n_radio_cars: int
    n_others: int
    sensors: str
    boxes: Sensors | None

    @property
    def is_anybody(self) -> bool:
        """Whether anybody else sends, or anything is relayed."""
        return bool(self.n_others or self.surroundings.echo_share or self.surroundings.relay_share)


def _draw_around(
    rng: np.random.Generator, config: EnvConfig, scenario: Scenario, options: dict[str, Any], n_peers: int
) -> _Around:
    asked = options.get("surroundings")
    ranges = get_surroundings(asked) if isinstance(asked, str) else config.find_surroundings(scenario.surroundings)
    drawn = draw_surroundings(rng, ranges)
    surroundings = asked if isinstance(asked, Surroundings) else drawn
    surroundings = replace(surroundings, penetration=max(surroundings.penetration, config.penetration))
    decoy = draw_decoy(rng, config.hazards, surroundings.decoy_probability, options.get("decoy"))
    if decoy is not None and decoy.kind == "behind":
        surroundings = replace(surroundings, cars_behind=max(1, surroundings.cars_behind))
    n_radio_cars = surroundings.radio_cars + (decoy is not None and decoy.kind != "behind")
    n_others = surroundings.cars_behind + n_radio_cars + N_TRAFFIC * (surroundings.penetration > 0)
    name = options.get("sensors") or config.find_sensors(scenario.sensors)
    sensors = choose_sensors(name, rng)
    n_cars, n_steps = 1 + n_peers + n_others, config.n_steps + 1
    boxes = draw_sensors(get_sensors(sensors), n_cars, n_steps, config.step_length_s, rng)
    return _Around(rng, surroundings, decoy, surroundings.radio_cars, n_others, sensors, boxes)


def _draw_others(around: _Around, radio: V2vPreset, salt: int, n_peers: int, config: EnvConfig) -> OthersDraw:
    rng, surroundings = around.rng, around.surroundings
    n_steps = config.n_steps + 1
    return OthersDraw(
        penetration=surroundings.penetration,
        salt=salt,
        spacings_m=tuple(rng.uniform(*SPACING_M, surroundings.cars_behind).tolist()),
        n_radio_cars=around.n_radio_cars,
        spawns=rng.uniform(size=(N_SPAWNS, N_DRAWN)),
        decoy=around.decoy,
        channel=V2vChannel(radio, around.n_others, n_steps, config.step_length_s, rng, around.boxes, 1 + n_peers),
        relays=Relays(surroundings.echo_share, surroundings.relay_share, n_steps, config.step_length_s, rng),
    )
