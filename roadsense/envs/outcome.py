"""What an episode came to, in numbers: one row of an evaluation. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from roadsense.envs.reward import COMFORT_MPS2, TERMS

REACTION_MPS2 = 1.0
"""A car that brakes this hard has reacted; an assist that asks for this much brakes."""


REACTION_LIMIT_S = 5.0
"""Braking that comes later after a hazard's onset is no reaction to it."""


@dataclass
class Outcome:
    """Sums and extremes over the steps of one episode, ground truth.

    Attributes:
        scenario: name of the scenario.
        duration_s: how long the episode was.
        collision: whether the ego collided.
        struck_from_behind: whether that was with a car that is not ahead of it.
        impact_speed_mps: speed difference to the leader at a collision with it, else 0.
        hazard: whether a car ahead braked hard.
        hazard_onset_s: when, after the start; NaN if none did.
        reaction_time_s: from then until the ego brakes with `REACTION_MPS2`; NaN if not within 5 s.
        assist_reaction_time_s: the same until the assist asks for it.
        min_gap_m: smallest gap to the leader; infinity if there never was one.
        min_ttc_s: smallest time to collision; infinity if the ego never approached a leader.
        min_time_headway_s: smallest time headway.
        max_drac_mps2: largest deceleration rate to avoid the crash.
        max_deceleration_mps2: the ego's hardest braking, from 0.
        max_jerk_mps3: largest change of acceleration, without sign.
        calm_s: time in which no hazard is active and no more than comfortable braking is required.
        false_braking_s: of it, time in which the assist brakes.
        false_brakings: how often the assist began to brake in it.
        distance_m: driven.
        sumo_interventions: steps in which SUMO's checks would have lowered the commanded speed.
        reward: sum of the weighted terms.
        term_sums: sum of every reward term before its weight.
    """

    scenario: str
    duration_s: float = 0.0
    collision: bool = False
    struck_from_behind: bool = False
    impact_speed_mps: float = 0.0
    hazard: bool = False
    hazard_onset_s: float = math.nan
    reaction_time_s: float = math.nan
    assist_reaction_time_s: float = math.nan
    min_gap_m: float = math.inf
    min_ttc_s: float = math.inf
    min_time_headway_s: float = math.inf
    max_drac_mps2: float = 0.0
    max_deceleration_mps2: float = 0.0
    max_jerk_mps3: float = 0.0
    calm_s: float = 0.0
    false_braking_s: float = 0.0
    false_brakings: int = 0
    distance_m: float = 0.0
    sumo_interventions: int = 0
    reward: float = 0.0
    term_sums: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 0.0))
    _assist_braked: bool = False
    _squared_jerk: float = 0.0

    @property
    def rms_jerk_mps3(self) -> float:
        """Root mean square of the jerk so far."""
        return math.sqrt(self._squared_jerk / self.duration_s) if self.duration_s else 0.0

    def note_hazard(self, time_s: float) -> None:
        """Notes that a car ahead begins to brake hard at a time since the episode's start."""
        self.hazard = True
        self.hazard_onset_s = time_s

    def add_step(self, time_s: float, figures: Mapping[str, float], terms: Mapping[str, float]) -> None:
        """Adds a step.

        Args:
            time_s: at its end, since the episode's start.
            figures: the step's `info`, as `ConvoyEnv` documents it.
            terms: the reward's terms.
        """
        step_length_s = time_s - self.duration_s
        self.duration_s = time_s
        self.distance_m += figures["speed_mps"] * step_length_s
        self.sumo_interventions = int(figures["sumo_interventions"])
        self._add_extremes(figures)
        self._add_jerk(figures["jerk_mps3"], step_length_s)
        self._add_braking(figures, step_length_s)
        if figures["collision"]:
            self._add_collision(figures)
        for name, value in terms.items():
            self.term_sums[name] += value

    def as_row(self) -> dict[str, float | str]:
        """Returns every public figure by name, `rms_jerk_mps3`, and reward terms as `term_<name>`."""
        row = {name: value for name, value in vars(self).items() if name != "term_sums" and not name.startswith("_")}
        row["rms_jerk_mps3"] = self.rms_jerk_mps3
        return row | {f"term_{name}": value for name, value in self.term_sums.items()}

    def _add_extremes(self, figures: Mapping[str, float]) -> None:
        # Comparisons, not min() and max(): this runs in every step of every episode.
        if figures["gap_m"] < self.min_gap_m:
            self.min_gap_m = figures["gap_m"]
        if figures["ttc_s"] < self.min_ttc_s:
            self.min_ttc_s = figures["ttc_s"]
        if figures["time_headway_s"] < self.min_time_headway_s:
            self.min_time_headway_s = figures["time_headway_s"]
        if figures["drac_mps2"] > self.max_drac_mps2:
            self.max_drac_mps2 = figures["drac_mps2"]
        if -figures["acceleration_mps2"] > self.max_deceleration_mps2:
            self.max_deceleration_mps2 = -figures["acceleration_mps2"]

    def _add_jerk(self, jerk_mps3: float, step_length_s: float) -> None:
        self._squared_jerk += jerk_mps3**2 * step_length_s
        if abs(jerk_mps3) > self.max_jerk_mps3:
            self.max_jerk_mps3 = abs(jerk_mps3)

    def _add_braking(self, figures: Mapping[str, float], step_length_s: float) -> None:
        assist_brakes = figures["assist_mps2"] >= REACTION_MPS2
        since_s = self.duration_s - self.hazard_onset_s
        if since_s <= REACTION_LIMIT_S:
            if math.isnan(self.reaction_time_s) and -figures["acceleration_mps2"] >= REACTION_MPS2:
                self.reaction_time_s = since_s
            if math.isnan(self.assist_reaction_time_s) and assist_brakes:
                self.assist_reaction_time_s = since_s
        if not figures["hazard_active"] and figures["required_mps2"] <= COMFORT_MPS2:
            self.calm_s += step_length_s
            self.false_braking_s += step_length_s * assist_brakes
            self.false_brakings += assist_brakes and not self._assist_braked
        self._assist_braked = assist_brakes

    def _add_collision(self, figures: Mapping[str, float]) -> None:
        self.collision = True
        self.struck_from_behind = figures["gap_m"] > 0.5
        if not self.struck_from_behind:
            self.impact_speed_mps = max(0.0, figures["speed_mps"] - figures["leader_speed_mps"])
