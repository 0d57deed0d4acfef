"""The policies that every evaluation drives beside the learned one: null policies and rules on the same radio.

The rules' settings are the best of a search on train scenarios (`roadsense tune-baselines`, table in
`docs/reference/baselines.md`). A training first imitates the cautious rule, which the learned policy has to beat.

Examples:
    >>> import roadsense as rs
    >>> observation = rs.ConvoyEnv(scenario_dir="scenarios/base").observation_space.sample()
    >>> rs.BASELINES["unassisted"]({name: values[None] for name, values in observation.items()}).item()
    0.0
"""

from roadsense.policies.cautious_rule import CautiousRule
from roadsense.policies.rules import (
    AlwaysBrake,
    HeardBrakingRule,
    HeardDracRule,
    HeardPredictionRule,
    Policy,
    Unassisted,
)

BASELINES: dict[str, Policy] = {
    "unassisted": Unassisted(),
    "always_brake": AlwaysBrake(),
    "gentle_brake": AlwaysBrake(0.75),
    "heard_braking_rule": HeardBrakingRule(threshold_mps2=4.0),
    "heard_drac_rule": HeardDracRule(threshold_mps2=3.0),
    "heard_prediction_rule": HeardPredictionRule(threshold_mps2=2.5, margin_m=5.0),
    "cautious_rule": CautiousRule(),
}
"""The policies the learned one is compared with, by name."""
