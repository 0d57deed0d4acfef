"""The outcome of an episode in numbers: one row of an evaluation. Pure.

While the episode runs, its steps are only recorded. All figures are computed at its end, over arrays, which is faster
than a sum for each figure in every step.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadsense.envs import metrics
from roadsense.envs.assist import FULL_BRAKING_MPS2
from roadsense.envs.reward import COMFORT_MPS2, TERMS, RewardTerms, Situation
from roadsense.envs.world import Collision, Follower

REACTION_MPS2 = 1.0
"""A car that brakes this hard has reacted; an assist that asks for this much counts as braking."""

REACTION_LIMIT_S = 5.0
"""Braking later than this after a hazard's onset is no reaction to it."""

HAZARD_WINDOW_S = 15.0
"""Braking in this time after the onset belongs to the hazard: it covers the longest ones and the stop behind."""

STANDING_MPS = 0.5
"""A slower car counts as standing."""

STOP_S = 10.0
"""A stop begins this long before the car stands."""

Columns = Mapping[str, NDArray[np.float64]]

STEP_FIELDS = (*Situation._fields, *RewardTerms._fields, *[f"follower_{name}" for name in Follower._fields])
"""Fields recorded in each step: the situation that it is judged by, the reward's terms, and the car behind."""


def split_steps(values: list[float]) -> dict[str, NDArray[np.float64]]:
    """Returns the values of each of `STEP_FIELDS`, shape (n_steps,).

    Args:
        values: of the first step in the order of `STEP_FIELDS`, then of the second, and so on.
    """
    table = np.array(values, np.float64).reshape(-1, len(STEP_FIELDS))
    return dict(zip(STEP_FIELDS, table.T, strict=True))


@dataclass(frozen=True)
class Outcome:
    """Sums and extremes over the steps of one episode, ground truth.

    Attributes:
        scenario: name of the scenario.
        duration_s: length of the episode.
        collision: whether the ego collided.
        collision_partner: SUMO's id of the other vehicle; empty without a collision.
        was_struck: whether the other vehicle ran into the ego.
        impact_speed_mps: difference of the two speeds at the collision, else 0.
        hazard: whether there was a hazard.
        hazard_kind: label of `roadsense.envs.hazard.Hazard`, or `none`.
        hazard_onset_s: time of the hazard's onset after the start; NaN if there was none.
        reaction_time_s: time from the onset until the ego brakes with `REACTION_MPS2`; NaN if not within 5 s.
        assist_reaction_time_s: time from the onset until the assist asks for `REACTION_MPS2`; NaN likewise.
        decoy_kind: one of `roadsense.envs.decoy.KINDS`, or `none` if no decoy braked.
        decoy_onset_s: time at which it began to brake; NaN if there was none.
        decoy_answered: whether the assist braked in calm time within `REACTION_LIMIT_S` after that.
        min_gap_m: smallest gap to the leader; infinity if there never was one.
        min_ttc_s: smallest time to collision; infinity if the ego never approached a leader.
        min_time_headway_s: smallest time headway.
        max_drac_mps2: largest deceleration rate to avoid the crash.
        max_deceleration_mps2: the ego's hardest braking, from 0.
        max_jerk_mps3: largest change of acceleration while the car moves, without sign.
        rms_jerk_mps3: root mean square of that change.
        calm_s: time in which no hazard is active and no more than comfortable braking is required.
        false_braking_s: part of `calm_s` in which the assist brakes.
        false_brakings: number of times that the assist began to brake in calm time.
        ordinary_stops: number of times that the ego stopped with no hazard active: at lights, in a queue.
        ordinary_stops_braked: number of these stops with false braking in the 10 s before.
        calm_speed_loss_mps: speed that the assist took off in calm time: the driver's wish less what the car did, m/s.
        needless_speed_loss_mps: speed that the assist took off needlessly in the whole episode, m/s.
        hazard_braking_mps: speed that the car lost by braking in the `HAZARD_WINDOW_S` after the hazard's onset, m/s;
            NaN without a hazard.
        distance_m: distance driven.
        follower_min_ttc_s: smallest time to collision of the car behind with the ego; infinity if none ever came
            nearer, NaN if it was not recorded (`EnvConfig.watch_behind`).
        messages_heard: radio messages to the ego that were delivered.
        messages_lost: radio messages to the ego that were lost.
        overtook_leader: whether the ego came ahead of the next car of its convoy.
        messages_dropped: messages dropped by sender and sequence: the ego's own, and those known already.
        sumo_interventions: steps in which SUMO's checks would have lowered the commanded speed.
        reward: sum of the weighted terms.
        term_sums: sum of every reward term before its weight.
    """

    scenario: str
    duration_s: float = 0.0
    collision: bool = False
    collision_partner: str = ""
    was_struck: bool = False
    impact_speed_mps: float = 0.0
    hazard: bool = False
    hazard_kind: str = "none"
    hazard_onset_s: float = math.nan
    reaction_time_s: float = math.nan
    assist_reaction_time_s: float = math.nan
    decoy_kind: str = "none"
    decoy_onset_s: float = math.nan
    decoy_answered: bool = False
    min_gap_m: float = math.inf
    min_ttc_s: float = math.inf
    min_time_headway_s: float = math.inf
    max_drac_mps2: float = 0.0
    max_deceleration_mps2: float = 0.0
    max_jerk_mps3: float = 0.0
    rms_jerk_mps3: float = 0.0
    calm_s: float = 0.0
    false_braking_s: float = 0.0
    false_brakings: int = 0
    ordinary_stops: int = 0
    ordinary_stops_braked: int = 0
    calm_speed_loss_mps: float = 0.0
    needless_speed_loss_mps: float = 0.0
    hazard_braking_mps: float = math.nan
    distance_m: float = 0.0
    follower_min_ttc_s: float = math.nan
    messages_heard: int = 0
    messages_lost: int = 0
    overtook_leader: bool = False
    messages_dropped: int = 0
    sumo_interventions: int = 0
    reward: float = 0.0
    term_sums: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 0.0))

    def as_row(self) -> dict[str, float | str]:
        """Returns every figure by name, the reward's terms as `term_<name>`."""
        row = asdict(self)
        return row | {f"term_{name}": value for name, value in row.pop("term_sums").items()}


@dataclass
class EpisodeNotes:
    """Facts about an episode beside its steps; see `Outcome` for each.

    Attributes:
        scenario: name of the scenario.
        step_length_s: time between two steps.
        watches_behind: whether the car behind the ego is recorded.
        hazard_kind: kind of the hazard once it has begun.
        hazard_onset_s: time of its onset after the episode's start.
        decoy_kind: kind of the decoy once it has braked.
        decoy_onset_s: time at which it began to.
        messages_heard: radio messages delivered so far.
        messages_lost: radio messages lost so far.
        overtook_leader: whether the ego has come ahead of the next car of its convoy.
        messages_dropped: messages dropped so far by sender and sequence.
        sumo_interventions: steps so far in which SUMO's checks would have lowered the commanded speed.
        reward: sum of the rewards so far.
        collision: the collision that ended the episode, or None.
    """

    scenario: str
    step_length_s: float
    watches_behind: bool = False
    hazard_kind: str = "none"
    hazard_onset_s: float = math.nan
    decoy_kind: str = "none"
    decoy_onset_s: float = math.nan
    messages_heard: int = 0
    messages_lost: int = 0
    overtook_leader: bool = False
    messages_dropped: int = 0
    sumo_interventions: int = 0
    reward: float = 0.0
    collision: Collision | None = None


_SETTINGS = ("step_length_s", "watches_behind", "collision")


def work_out(notes: EpisodeNotes, steps: Columns) -> Outcome:
    """Returns the outcome of an episode.

    Args:
        notes: facts about the episode beside its steps.
        steps: columns of `STEP_FIELDS`, shape (n_steps,) each.
    """
    known: dict[str, Any] = {name: value for name, value in asdict(notes).items() if name not in _SETTINGS}
    known["hazard"] = not math.isnan(notes.hazard_onset_s)
    n_steps = len(steps["gap_m"])
    if not n_steps:
        return Outcome(**known)
    step_length_s = notes.step_length_s
    time_s = step_length_s * np.arange(1, n_steps + 1)
    return Outcome(
        **known,
        duration_s=float(time_s[-1]),
        distance_m=float(steps["speed_mps"].sum() * step_length_s),
        **_extremes(steps),
        **_collision(steps, notes.collision),
        follower_min_ttc_s=_ttc_behind_s(steps) if notes.watches_behind else math.nan,
        **_reactions(steps, time_s - notes.hazard_onset_s),
        **_false_braking(steps, step_length_s),
        decoy_answered=_is_answered(steps, time_s - notes.decoy_onset_s),
        **_speed_loss(steps, time_s - notes.hazard_onset_s, step_length_s),
        term_sums={name: float(steps[name].sum()) for name in TERMS},
    )


def _extremes(steps: Columns) -> dict[str, Any]:
    gap_m, speed_mps, leader_mps = steps["gap_m"], steps["speed_mps"], steps["leader_speed_mps"]
    # A car that stops loses its deceleration within a step, without its brake: that does not count as jerk.
    jerk_mps3 = np.where(speed_mps > 0, steps["jerk_mps3"], 0.0)
    return {
        "min_gap_m": float(gap_m.min()),
        "min_ttc_s": float(metrics.time_to_collision_s(gap_m, speed_mps, leader_mps).min()),
        "min_time_headway_s": float(metrics.time_headway_s(gap_m, speed_mps).min()),
        "max_drac_mps2": float(metrics.drac_mps2(gap_m, speed_mps, leader_mps).max()),
        "max_deceleration_mps2": max(0.0, -float(steps["acceleration_mps2"].min())),
        "max_jerk_mps3": float(np.abs(jerk_mps3).max()),
        "rms_jerk_mps3": float(np.sqrt(np.mean(jerk_mps3**2))),
    }


def _ttc_behind_s(steps: Columns) -> float:
    ttc_s = metrics.time_to_collision_s(steps["follower_gap_m"], steps["follower_speed_mps"], steps["speed_mps"])
    return float(ttc_s.min())


def _collision(steps: Columns, collision: Collision | None) -> dict[str, Any]:
    if not steps["collision"][-1] or collision is None:
        return {}
    return {
        "collision": True,
        "collision_partner": collision.partner,
        "was_struck": collision.was_struck,
        "impact_speed_mps": collision.impact_speed_mps,
    }


def _reactions(steps: Columns, since_onset_s: NDArray[np.floating]) -> dict[str, Any]:
    # Without a hazard all times since its onset are NaN, and no comparison holds.
    in_time = (since_onset_s > 0) & (since_onset_s <= REACTION_LIMIT_S + 1e-9)

    def first_s(reacts: NDArray[np.bool_]) -> float:
        times_s = since_onset_s[in_time & reacts]
        return float(times_s[0]) if len(times_s) else math.nan

    return {
        "reaction_time_s": first_s(steps["acceleration_mps2"] <= -REACTION_MPS2),
        "assist_reaction_time_s": first_s(steps["assist_mps2"] >= REACTION_MPS2),
    }


def _speed_loss(steps: Columns, since_onset_s: NDArray[np.floating], step_length_s: float) -> dict[str, Any]:
    after = (since_onset_s > 0) & (since_onset_s <= HAZARD_WINDOW_S)
    braking_mps2 = np.maximum(-steps["acceleration_mps2"], 0.0)
    return {
        "calm_speed_loss_mps": float(steps["added_mps2"][_is_calm(steps)].sum() * step_length_s),
        "needless_speed_loss_mps": float(FULL_BRAKING_MPS2 * steps["needless_braking"].sum() * step_length_s),
        "hazard_braking_mps": float(braking_mps2[after].sum() * step_length_s) if after.any() else math.nan,
    }


def _is_calm(steps: Columns) -> NDArray[np.bool_]:
    return (steps["hazard_active"] == 0) & (steps["required_mps2"] <= COMFORT_MPS2)


def _false_braking(steps: Columns, step_length_s: float) -> dict[str, Any]:
    calm = _is_calm(steps)
    brakes = steps["assist_mps2"] >= REACTION_MPS2
    begins = brakes & ~np.concatenate([[False], brakes[:-1]])
    return {
        **_ordinary_stops(steps, calm & brakes, round(STOP_S / step_length_s)),
        "calm_s": float(calm.sum() * step_length_s),
        "false_braking_s": float((calm & brakes).sum() * step_length_s),
        "false_brakings": int((calm & begins).sum()),
    }


def _is_answered(steps: Columns, since_onset_s: NDArray[np.floating]) -> bool:
    in_time = (since_onset_s > 0) & (since_onset_s <= REACTION_LIMIT_S + 1e-9)
    return bool((in_time & _is_calm(steps) & (steps["assist_mps2"] >= REACTION_MPS2)).any())


def _ordinary_stops(steps: Columns, falsely: NDArray[np.bool_], n_before: int) -> dict[str, Any]:
    stands = steps["speed_mps"] < STANDING_MPS
    begins = np.flatnonzero(stands[1:] & ~stands[:-1] & (steps["hazard_active"][1:] == 0)) + 1
    braked = [falsely[max(0, step - n_before) : step].any() for step in begins]
    return {"ordinary_stops": len(begins), "ordinary_stops_braked": int(sum(braked))}
