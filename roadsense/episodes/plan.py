"""What an episode is decided by: scenario, seed, hazard, radio, and who drives."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roadsense.envs.driver_profile import PERFECT_DRIVER
from roadsense.envs.radio.presets import V2vPreset
from roadsense.policies.baselines import BASELINES

POLICY, MUTED, BOUND = "policy", "policy_muted", "perfect_driver"
"""Rows beside the baselines: the judged policy, the same without a radio, and the upper bound."""
POLICIES = (POLICY, MUTED, *BASELINES, BOUND)
NULL_POLICIES = (MUTED, "unassisted", "always_brake")
"""Those that hear nothing or do nothing with it. What they reach as well is not the policy's doing."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """One episode to be run.

    Attributes:
        policy: one of `POLICIES`, or a name that the worker was given.
        config_path: the scenario's `.sumocfg`.
        seed: of the reset.
        hazard: whether a car ahead is made to brake hard.
        radio: what the convoy has, instead of the environment's; None for that.
        sumo_checks: whether SUMO's safe-speed check protects the ego; None for what the environment's settings say.
    """

    policy: str
    config_path: Path
    seed: int
    hazard: bool
    radio: V2vPreset | None = None
    sumo_checks: bool | None = None


def reset_options(plan: Plan) -> dict[str, Any]:
    """Returns the options of the reset that a plan asks for: its radio is mute for `MUTED`, and so on."""
    options: dict[str, Any] = {"scenario": plan.config_path, "hazard": plan.hazard}
    if plan.radio is not None:
        options["v2v"] = plan.radio
    if plan.policy == MUTED:
        options["v2v"] = "muted"
    if plan.policy == BOUND:
        options["driver"] = PERFECT_DRIVER
    return options
