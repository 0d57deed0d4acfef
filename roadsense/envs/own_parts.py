"""The parts of the environment that a user may write: reward, observation and hazard, see `EnvConfig`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from roadsense.envs.config import EnvConfig
from roadsense.envs.hazard import Hazard
from roadsense.envs.observation import Observation
from roadsense.errors import InputError
from roadsense.scenarios.scenario import Scenario
from roadsense.utils.own_code import find_own, hash_own

PARTS = ("reward", "observation", "hazard")


def describe_own(config: EnvConfig) -> dict[str, dict[str, str]]:
    """Returns name and SHA-256 of the source of each part that is the user's own, after checking that it is there.

    Raises:
        InputError: if one is not found, or no function.
    """
    found = {part: getattr(config, part) for part in PARTS if getattr(config, part)}
    for part, reference in found.items():
        if not callable(find_own(reference)):
            raise InputError(f"{part}: expected a function as module:name, got {reference!r}, which is none.")
    return {part: {"name": reference, "sha256": hash_own(reference)} for part, reference in found.items()}


def find_observation(config: EnvConfig) -> tuple[Callable[[Observation], Any], spaces.Space] | None:
    """Returns the user's own observation and its space, or None.

    Raises:
        InputError: if it has no `space`.
    """
    if not config.observation:
        return None
    found = find_own(config.observation)
    space = getattr(found, "space", None)
    if not callable(found) or not isinstance(space, spaces.Space):
        raise InputError(
            f"observation: expected a function with a space of Gymnasium as its attribute `space`, got "
            f"{config.observation!r} with {space!r}."
        )
    return found, space


def draw_own_hazard(reference: str, rng: np.random.Generator, scenario: Scenario, n_ahead: int) -> Hazard | None:
    """Returns the hazard that the user's own function makes for an episode.

    Args:
        reference: `module:name` of the function.
        rng: generator for it alone, so that no other draw of the episode depends on it.
        scenario: scenario that is driven.
        n_ahead: number of cars ahead of the ego in the convoy.

    Raises:
        InputError: if it returns no `Hazard` of a car that is there, or None.
    """
    hazard = find_own(reference)(rng, scenario)
    if hazard is not None and not (isinstance(hazard, Hazard) and 0 <= hazard.car < n_ahead):
        raise InputError(f"{reference}: expected a Hazard of a car from 0 to {n_ahead - 1}, or None, got {hazard!r}.")
    return hazard
