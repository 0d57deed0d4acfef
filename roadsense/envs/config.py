"""Settings of the environment."""

import math
from dataclasses import dataclass, field, fields

from roadsense.envs.driver_profile import DriverRanges
from roadsense.envs.hazard import HazardRanges
from roadsense.envs.radio.presets import V2vPreset, get_preset
from roadsense.envs.sensors import IDEAL, check_sensors
from roadsense.envs.sensors import MIXED as MIXED_SENSORS
from roadsense.envs.surroundings import MIXED, NONE, SurroundingsRanges, get_surroundings, parse_surroundings
from roadsense.errors import InputError
from roadsense.utils.bounds import bounded, check_bounds

DEFAULT_V2V, SCENARIO_V2V = "esp_now", "scenario"
FROM_SCENARIO = SCENARIO_V2V


@dataclass(frozen=True)
class RewardWeights:
    """Weight of each term in the sum; a penalty has a negative weight.

    Attributes:
        collision: weight of a collision, at most 0; it counts in one step.
        danger: weight of a required deceleration beyond comfort, at most 0.
        early_braking: weight of assist braking while braking is required, at least 0.
        needless_braking: weight of braking that the assist adds beyond what is needed, at most 0.
        hard_needless_braking: weight of the part of it that is harder than lifting the foot, at most 0.
        jerk: weight of harsh changes of acceleration, at most 0.
        blind_following: weight of driving close behind a leader that is not heard, at most 0.

    Raises:
        InputError: for a weight of the wrong sign.
    """

    collision: float = -50.0
    danger: float = -2.0
    early_braking: float = 0.15
    needless_braking: float = -0.9
    hard_needless_braking: float = -3.0
    jerk: float = -2.4
    blind_following: float = -1.2

    def __post_init__(self) -> None:
        for name in (each.name for each in fields(self)):
            weight, is_wanted = getattr(self, name), name == "early_braking"
            if not (0 <= weight < math.inf if is_wanted else -math.inf < weight <= 0):
                raise InputError(
                    f"Expected a weight of {name} of at {'least' if is_wanted else 'most'} 0, got {weight}."
                )


@dataclass(frozen=True)
class EnvConfig:
    """Settings of `ConvoyEnv`.

    Attributes:
        step_length_s: time between two actions, and between two radio messages of a car, above 0.
        n_steps: steps until an episode is truncated.
        v2v: name of a radio preset, see `roadsense.envs.radio.presets.PRESETS`, or a `.json` file of a fitted one, or
            `scenario`: the radio that each scenario names, `esp_now` where it names none.
        v2v_randomised: whether each episode draws its own radio around the preset.
        surroundings: name in `roadsense.envs.surroundings.SURROUNDINGS` of who else has a radio, and what is relayed,
            drawn anew in each episode; or `scenario`: what each scenario names, `mixed` where it names none.
        penetration: least share of the other traffic that carries a radio, from 0 to 1, whatever `surroundings` ask.
        sensors: name in `roadsense.envs.sensors.SENSORS` of what the cars' boxes measure with; or `mixed`: another in
            each episode; or `scenario`: those that each scenario names, `mixed` where it names none; or a `.json`
            file of `sensors_to_json`.
        sumo_checks: whether SUMO's safe-speed check protects the ego. If on, it avoids nearly every collision with any
            policy; results with it say nothing about the policy.
        backend: `libsumo` for SUMO inside this process, `traci` for SUMO as a separate, slower program: see
            `roadsense.envs.sumo.over_socket`. Both give the same episodes.
        watch_behind: whether the car behind the ego is recorded, for the outcome's `follower_min_ttc_s`.
        step_info: whether every step's `info` holds the figures of the step; if False, only the last one has `outcome`.
        hazards: ranges that each episode's hazard is drawn from.
        drivers: ranges that each episode's driver of the ego is drawn from.
        weights: weights of the reward's terms.
        reward: `module:name` of your own function from a `roadsense.envs.reward.Situation` to a step's reward; empty
            for the weighted terms.
        observation: `module:name` of your own function from an `Observation` to anything in the space that is its
            attribute `space`; empty for the observation as it is. Not in `make_vec_env`, whose workers share memory.
        hazard: `module:name` of your own function from a generator and a `Scenario` to the `Hazard` of an episode that
            has one; empty to draw it from `hazards`.

    Examples:
        >>> import roadsense as rs
        >>> rs.EnvConfig(v2v="muted", n_steps=200).n_steps
        200
    """

    step_length_s: float = bounded(0.1, 0.001, 10.0)
    n_steps: int = bounded(500, 1, 1_000_000)
    v2v: str = DEFAULT_V2V
    v2v_randomised: bool = True
    surroundings: str = NONE
    penetration: float = bounded(0.0, 0.0, 1.0)
    sensors: str = IDEAL
    sumo_checks: bool = False
    backend: str = "libsumo"
    watch_behind: bool = False
    step_info: bool = True
    hazards: HazardRanges = field(default_factory=HazardRanges)
    drivers: DriverRanges = field(default_factory=DriverRanges)
    weights: RewardWeights = field(default_factory=RewardWeights)
    reward: str = ""
    observation: str = ""
    hazard: str = ""

    def __post_init__(self) -> None:
        check_bounds(self)
        self.find_radio(None)
        self.find_surroundings(None)
        self.find_sensors(None)

    def find_radio(self, asked: str | None) -> V2vPreset:
        """Returns the radio preset for a scenario that names the preset `asked`, or None.

        Raises:
            InputError: if there is no such preset.
        """
        return get_preset((asked or DEFAULT_V2V) if self.v2v == SCENARIO_V2V else self.v2v)

    def find_surroundings(self, asked: str | None) -> SurroundingsRanges:
        """Returns the ranges of the surroundings for a scenario that asks for `asked`, or None.

        Raises:
            InputError: if there are none of that name, or the scenario's cannot be read.
        """
        if self.surroundings == FROM_SCENARIO:
            return parse_surroundings(asked) if asked else get_surroundings(MIXED)
        return get_surroundings(self.surroundings)

    def find_sensors(self, asked: str | None) -> str:
        """Returns the name of the sensors for a scenario that names `asked`, or None.

        Raises:
            InputError: if there are none of that name.
        """
        name = (asked or MIXED_SENSORS) if self.sensors == FROM_SCENARIO else self.sensors
        check_sensors(name)
        return name
