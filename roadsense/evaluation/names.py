"""How the policies of an evaluation are called and drawn."""

import pandas as pd

from roadsense.pictures.style import BLUE, BROWN, GREEN, GREY, INK, ORANGE, PURPLE, RED, SKY

LABELS = {
    "policy": "policy",
    "policy_muted": "policy, radio muted",
    "unassisted": "driver alone",
    "always_brake": "always brakes",
    "heard_braking_rule": "rule: heard braking",
    "heard_drac_rule": "rule: heard DRAC",
    "heard_prediction_rule": "rule: prediction",
    "cautious_rule": "rule: cautious",
    "perfect_driver": "perfect driver",
}
STYLES = {
    "policy": (BLUE, "-"), "policy_muted": (SKY, "--"), "unassisted": (INK, "-"), "always_brake": (GREY, "--"),
    "heard_braking_rule": (ORANGE, "-"), "heard_drac_rule": (RED, "-."),
    "heard_prediction_rule": (PURPLE, "-."), "cautious_rule": (BROWN, "-"), "perfect_driver": (GREEN, ":"),
}  # fmt: skip
"""Colour and line of each policy; nulls and bound are broken lines, the driver alone excepted."""


def label_policy(name: str) -> str:
    """Returns a policy's name for people."""
    return LABELS.get(name, name)


def order_policies(policies: pd.Series) -> list[str]:
    """Returns the policies of a column, each once, in the order of `LABELS`."""
    present = list(dict.fromkeys(policies))
    return [name for name in LABELS if name in present] + [name for name in present if name not in LABELS]
