"""All random draws of an episode, made at its start, so that no later step draws from the generator."""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.config import EnvConfig
from roadsense.envs.driver_profile import DriverProfile, draw_driver, draw_gap_errors
from roadsense.envs.hazard import Hazard, draw_hazard
from roadsense.envs.observation import MAX_PEERS
from roadsense.envs.own_parts import draw_own_hazard
from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import V2vPreset, get_preset, randomise
from roadsense.errors import InputError
from roadsense.scenarios.scenario import Scenario

OWN_HAZARD = 2
"""Part of the seed of the user's own hazard, beside the episode's salt."""
MAX_SUMO_SEED = 2**31 - 1 - 100
RESET_OPTIONS = ("scenario", "hazard", "driver", "time_headway_s", "v2v")


@dataclass(frozen=True)
class EpisodeDraw:
    """All random draws of one episode.

    Attributes:
        sumo_seed: random seed of the simulation.
        driver: driver of the ego.
        gap_errors: factor by which that driver misjudges the gap at each step, see `draw_gap_errors`.
        hazard: hazard of the episode, or None.
        radio: V2V preset of the episode.
        channel: radio channel with all its draws.
        salt: number that decides which other cars carry a radio.
    """

    sumo_seed: int
    driver: DriverProfile
    gap_errors: NDArray[np.float64]
    hazard: Hazard | None
    radio: V2vPreset
    channel: V2vChannel
    salt: int

    def describe(self) -> dict[str, Any]:
        """Returns the draws that `info` holds after a reset."""
        return {"sumo_seed": self.sumo_seed, "driver": self.driver, "hazard": self.hazard, "v2v": self.radio}


def check_options(options: dict[str, Any]) -> None:
    """Checks the options of a reset.

    Raises:
        InputError: for an unknown option, or a value of another type than the class `ConvoyEnv` documents.
    """
    if not set(options) <= set(RESET_OPTIONS):
        raise InputError(f"Expected reset options of {RESET_OPTIONS}, got {sorted(options)}.")
    if not isinstance(options.get("hazard"), bool | Hazard | None):
        raise InputError(f"Expected the option hazard to be True, False or a Hazard, got {options['hazard']!r}.")
    if not isinstance(options.get("v2v"), str | V2vPreset | None):
        raise InputError(f"Expected the option v2v to be a preset or the name of one, got {options['v2v']!r}.")
    headway_s = options.get("time_headway_s", 1.0)
    if not isinstance(headway_s, int | float) or not 0 < headway_s < math.inf:
        raise InputError(f"Expected the option time_headway_s to be a time above 0, got {headway_s!r}.")
    if not isinstance(options.get("driver"), DriverProfile | None):
        raise InputError(f"Expected the option driver to be a DriverProfile, got {options['driver']!r}.")


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
    n_peers = MAX_PEERS if config.penetration else min(n_ahead, MAX_PEERS)
    channel = V2vChannel(radio, n_peers, n_draws, config.step_length_s, rng)
    if "time_headway_s" in options:
        driver = replace(driver, time_headway_s=options["time_headway_s"])
    if "driver" in options:
        driver, gap_errors = options["driver"], np.ones(1)
    return EpisodeDraw(sumo_seed, driver, gap_errors, hazard, radio, channel, salt)
