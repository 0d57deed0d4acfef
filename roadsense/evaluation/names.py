"""How the policies of an evaluation are called."""

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


def label_policy(name: str) -> str:
    """Returns a policy's name for people."""
    return LABELS.get(name, name)
