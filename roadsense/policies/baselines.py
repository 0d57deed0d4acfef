"""The policies every evaluation drives beside the learned one: null policies and rules on the same radio.

Each rule is as good as we could make it. The settings of those that act on what they hear are the best of a search on
train scenarios, by `roadsense tune-baselines`; the search and its table are in `docs/baselines.md`. The cautious rule
is the one a training begins with: what is learned has to be better than what was known before.
"""

from roadsense.policies.cautious_rule import CautiousRule
from roadsense.policies.prediction import HeardPredictionRule
from roadsense.policies.rules import AlwaysBrake, HeardBrakingRule, HeardDracRule, Policy, Unassisted

BASELINES: dict[str, Policy] = {
    "unassisted": Unassisted(),
    "always_brake": AlwaysBrake(),
    "heard_braking_rule": HeardBrakingRule(threshold_mps2=3.0),
    "heard_drac_rule": HeardDracRule(threshold_mps2=3.0),
    "heard_prediction_rule": HeardPredictionRule(threshold_mps2=2.0, margin_m=5.0),
    "cautious_rule": CautiousRule(),
}
"""By name, what the learned policy is compared with."""
