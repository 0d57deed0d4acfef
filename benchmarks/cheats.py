"""Policies made to deceive an evaluation: each gets good marks somewhere without helping its driver."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadsense.envs.observation import EGO_FIELDS, EGO_SCALE, PEER_FIELDS, PEER_SCALE, Observation
from roadsense.policies.rules import AlwaysBrake, HeardBrakingRule, Policy, Unassisted, action_for

_SPEED, _ASSIST = (EGO_FIELDS.index(name) for name in ("speed_mps", "assist_deceleration_mps2"))
_ACCELERATION, _AGE = (PEER_FIELDS.index(name) for name in ("acceleration_mps2", "age_s"))


@dataclass(frozen=True)
class BrakesGentlyWhenItHears:
    """Brakes below every threshold whenever anything is heard, down to a speed, and brakes by a rule beside it.

    Attributes:
        deceleration_mps2: how hard, from 0.
        down_to_mps: below this speed it stops.
        rule: what it does beside that.
    """

    deceleration_mps2: float = 0.75
    down_to_mps: float = 0.0
    rule: Policy = Unassisted()  # noqa: RUF009, it is frozen

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        speed_mps = observation["ego"][:, _SPEED] * EGO_SCALE[_SPEED]
        brakes = observation["peer_mask"].any(axis=1) & (speed_mps > self.down_to_mps)
        return np.maximum(action_for(brakes * self.deceleration_mps2)[:, None], self.rule(observation))


@dataclass(frozen=True)
class BrakesToStandstill:
    """Brakes fully, and to standstill, after anybody was heard to brake hard."""

    threshold_mps2: float = 4.5

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        heard = (-observation["peers"][..., _ACCELERATION] * PEER_SCALE[_ACCELERATION]).max(axis=1)
        goes_on = (observation["ego"][:, _ASSIST] > 0) & (observation["ego"][:, _SPEED] * EGO_SCALE[_SPEED] > 0.3)
        return action_for(np.where((heard > self.threshold_mps2) | goes_on, 8.0, 0.0))[:, None]


@dataclass(frozen=True)
class BrakesWhenMessagesAreOld:
    """Brakes when a message is old, whatever it says."""

    age_s: float = 0.25

    def __call__(self, observation: Observation) -> NDArray[np.float32]:
        """Returns an action for each observation."""
        is_old = observation["peers"][..., _AGE] * PEER_SCALE[_AGE] > self.age_s
        return action_for(3.0 * (is_old & (observation["peer_mask"] > 0)).any(axis=1))[:, None]


CHEATS: dict[str, Policy] = {
    "gentle_when_it_hears": BrakesGentlyWhenItHears(),
    "gentle_and_a_rule": BrakesGentlyWhenItHears(0.95, 6.0, HeardBrakingRule(threshold_mps2=3.0)),
    "to_standstill": BrakesToStandstill(),
    "keyed_on_age": BrakesWhenMessagesAreOld(),
    "constant_0_3": AlwaysBrake(0.3),
    "does_nothing": Unassisted(),
}
