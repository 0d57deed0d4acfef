"""Which class of Stable-Baselines3 or sb3-contrib opens a policy, found from the settings in its zip."""

import importlib
from collections.abc import Mapping
from typing import Any

from roadsense.errors import RunError

ON_POLICY = "stable_baselines3:PPO"
"""PPO, A2C and TRPO have one class of policies, so PPO acts for all of them."""
CLASSES = {
    "stable_baselines3.common.policies": ON_POLICY,
    "stable_baselines3.ppo.": ON_POLICY,
    "stable_baselines3.a2c.": ON_POLICY,
    "sb3_contrib.trpo.": ON_POLICY,
    "stable_baselines3.sac.": "stable_baselines3:SAC",
    "stable_baselines3.td3.": "stable_baselines3:TD3",  # of DDPG too
    "sb3_contrib.tqc.": "sb3_contrib:TQC",
    "sb3_contrib.crossq.": "sb3_contrib:CrossQ",
    "sb3_contrib.ars.": "sb3_contrib:ARS",
}
"""Class that opens a policy, by the beginning of the module of the policy's own class."""
MARKS = {
    "top_quantiles_to_drop_per_net": "sb3_contrib:TQC",
    "target_policy_noise": "stable_baselines3:TD3",
    "target_entropy": "stable_baselines3:SAC",
}
"""The same by a setting that only this algorithm has, for policies whose class is in a module of the user's own."""
RECURRENT = ("sb3_contrib.common.recurrent.", "sb3_contrib.ppo_recurrent.")
LIBRARIES = ("stable_baselines3.", "sb3_contrib.")
NO_MEMORY = (
    "Expected a policy that acts on one observation, got a recurrent one (RecurrentPPO), which keeps a state between "
    "steps: neither evaluation nor firmware keeps one. Train one without, such as PPO."
)
SIZES: dict[str, dict[str, Any]] = {
    "PPO": {"n_steps": 2, "batch_size": 2},
    "SAC": {"buffer_size": 1, "target_entropy": -1.0},
    "TQC": {"buffer_size": 1, "target_entropy": -1.0},
    "CrossQ": {"buffer_size": 1, "target_entropy": -1.0},
    "TD3": {"buffer_size": 1},
    "ARS": {},
}
"""Smallest settings with which a model for acting can be built, by class."""


def find_model_class(settings: Mapping[str, Any]) -> Any:
    """Returns the class of Stable-Baselines3 or sb3-contrib that opens a policy with these settings.

    Args:
        settings: content of `data` in the zip; empty if it cannot be read, which gives PPO.

    Raises:
        RunError: if the policy has a memory, or is of an algorithm whose actions are no single number.
    """
    described = settings.get("policy_class")
    module = str(described.get("__module__", "")) if isinstance(described, Mapping) else ""
    if module.startswith(RECURRENT):
        raise RunError(NO_MEMORY)
    found = next((name for start, name in CLASSES.items() if module.startswith(start)), None)
    if found is None and module.startswith(LIBRARIES):
        raise RunError(
            f"Expected a policy over one number from 0 to 1, as of PPO, A2C, TRPO, SAC, TD3, DDPG, TQC, CrossQ or ARS, "
            f"got one of {module}. Train it with one of these."
        )
    if found is None:
        found = next((name for mark, name in MARKS.items() if mark in settings), ON_POLICY)
    library, _, name = found.partition(":")
    return getattr(importlib.import_module(library), name)
