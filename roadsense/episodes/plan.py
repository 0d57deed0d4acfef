"""The plan of an episode, which decides everything in it: scenario, seed, hazard, radio and policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.envs.driver_profile import PERFECT_DRIVER
from roadsense.envs.radio.presets import V2vPreset

POLICY, MUTED, BOUND = "policy", "policy_muted", "perfect_driver"
"""Names besides the baselines: the judged policy, the same policy without a radio, and the upper bound."""
OTHER_MESSAGES, LONG_HEADWAY = "policy_other_messages", "driver_long_headway"
"""The judged policy with the messages of another episode; the driver alone with a headway of `LONG_HEADWAY_S`."""
LONG_HEADWAY_S = 2.0
"""The two-second rule of driving schools."""

CALM_EVERY = 5
"""One of so many episodes has no hazard, to measure false braking."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One episode to be driven.

    Attributes:
        policy: name of the policy: a baseline, one of the names above, or one of the worker's other policies.
        config_path: path of the scenario's `.sumocfg`.
        seed: seed of the environment's reset.
        hazard: whether there is a hazard ahead of the ego.
        radio: preset of the convoy's radio; None for that of the environment's settings.
        sumo_checks: whether SUMO's safe-speed check protects the ego; None for the environment's setting.
        settings: names and values of other settings of the environment that differ in this episode.
        own_noise_mps2: standard deviation of white noise on the ego's own acceleration, as the policy sees it.
    """

    policy: str
    config_path: Path
    seed: int
    hazard: bool
    radio: V2vPreset | None = None
    sumo_checks: bool | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    own_noise_mps2: float = 0.0


def is_calm(place: int) -> bool:
    """Returns whether an episode has no hazard: one in each `CALM_EVERY`, every time at another place.

    So scenarios that take turns all get both kinds, also if there are `CALM_EVERY` of them.

    Args:
        place: place of the episode in its list, from 0.
    """
    return (place + place // CALM_EVERY) % CALM_EVERY == CALM_EVERY - 1


def reset_options(plan: Plan) -> dict[str, Any]:
    """Returns the options of the environment's reset for a plan."""
    options: dict[str, Any] = {"scenario": plan.config_path, "hazard": plan.hazard}
    if plan.radio is not None:
        options["v2v"] = plan.radio
    if plan.policy == MUTED:
        options["v2v"] = "muted"
    if plan.policy == BOUND:
        options["driver"] = PERFECT_DRIVER
    if plan.policy == LONG_HEADWAY:
        options["time_headway_s"] = LONG_HEADWAY_S
    return options
