"""The plan of an episode, which decides everything in it: scenario, seed, hazard, radio, and who drives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.envs.driver_profile import PERFECT_DRIVER
from roadsense.envs.radio.presets import V2vPreset

POLICY, MUTED, BOUND = "policy", "policy_muted", "perfect_driver"
"""Names beside the baselines: the judged policy, the same without a radio, and the upper bound."""
OTHER_MESSAGES, LONG_HEADWAY = "policy_other_messages", "driver_long_headway"
"""The judged policy on the messages of another episode; the driver alone, keeping `LONG_HEADWAY_S`."""
LONG_HEADWAY_S = 2.0
"""The two seconds of driving schools."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One episode to be driven.

    Attributes:
        policy: a baseline's name, one of the names above, or a name that the worker was given.
        config_path: the scenario's `.sumocfg`.
        seed: seed of the environment's reset.
        hazard: whether a car ahead is made to brake hard.
        radio: the convoy's radio; None for the one of the environment's settings.
        sumo_checks: whether SUMO's safe-speed check protects the ego; None for the environment's setting.
    """

    policy: str
    config_path: Path
    seed: int
    hazard: bool
    radio: V2vPreset | None = None
    sumo_checks: bool | None = None


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
