"""How policies and the person answered on a drive: needless braking in calm time, and each hard braking ahead. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roadsense.drives.drive import Drive
from roadsense.drives.motion import Braking, CarMotion
from roadsense.drives.steps import STEP_S, Steps, find_spans
from roadsense.envs.assist import assist_deceleration_mps2
from roadsense.envs.outcome import REACTION_LIMIT_S, REACTION_MPS2
from roadsense.envs.reward import COMFORT_MPS2

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

PERSON = "person"
"""Name of the person who drove, beside the policies."""
JOIN_STEPS = 10
"""Needless brakings at most this far apart are one."""
HEARD_S = 1.5
"""Messages are counted for this long from a braking's onset."""


@dataclass(frozen=True)
class Answers:
    """What policies asked for at each step.

    Attributes:
        assist_mps2: (n,) deceleration that each policy asks for, from 0, by name.
        calm: (n,) whether nothing ahead needs more than comfortable braking, as far as it is known.
        added_mps2: (n,) braking that each policy adds to the person's, from 0, by name.
    """

    assist_mps2: Mapping[str, Floats]
    calm: Mask
    added_mps2: Mapping[str, Floats]


def compare_answers(
    steps: Steps, actions: Mapping[str, Floats], needed_mps2: Floats, brakings: Sequence[Braking]
) -> Answers:
    """Returns the demands of policies beside the person's braking.

    Args:
        steps: the drive's steps.
        actions: (n,) actions of each policy, by name.
        needed_mps2: (n,) hardest braking that the cars ahead justify; NaN where the leader is not known.
        brakings: hard brakings of cars ahead; the time from each until its answer is due is not calm.
    """
    assist = {name: np.array([assist_deceleration_mps2(one) for one in own.tolist()]) for name, own in actions.items()}
    person = np.maximum(-steps.driver_mps2, 0.0)
    calm = steps.is_judged & (needed_mps2 <= COMFORT_MPS2)
    for braking in brakings:
        calm[braking.first : braking.last + round(REACTION_LIMIT_S / STEP_S)] = False
    added = {name: np.where(steps.is_judged, np.maximum(own - person, 0.0), 0.0) for name, own in assist.items()}
    return Answers(assist, calm, added)


def tabulate_needless(answers: Answers) -> pd.DataFrame:
    """Returns for each policy how much it would have braked in calm time."""
    minutes = answers.calm.sum() * STEP_S / 60
    rows = []
    for name, added in answers.added_mps2.items():
        brakes = (added >= REACTION_MPS2) & answers.calm
        n_onsets = sum(1 for _ in find_spans(brakes, JOIN_STEPS))
        rows.append(
            {
                "policy": name,
                "calm_min": minutes,
                "braking_share": float(brakes.sum() / max(answers.calm.sum(), 1)),
                "onsets_per_h": n_onsets / minutes * 60 if minutes else np.nan,
                "onsets": n_onsets,
                "slowed_mps_per_min": float(added[answers.calm].sum() * STEP_S / minutes) if minutes else np.nan,
            }
        )
    return pd.DataFrame(rows)


def list_onsets(drive: Drive, steps: Steps, answers: Answers, policy: str) -> pd.DataFrame:
    """Returns when and where a policy would have braked for nothing, the hardest first."""
    added = answers.added_mps2[policy]
    rows = []
    for first, last in find_spans((added >= REACTION_MPS2) & answers.calm, JOIN_STEPS):
        x_m, y_m = steps.states[first, :2]
        latitude, longitude = drive.plane.to_degrees(np.array([x_m]), np.array([y_m]))
        rows.append(
            {
                "time_s": float(steps.time_s[first]),
                "lasts_s": (last - first + 1) * STEP_S,
                "hardest_mps2": float(added[first : last + 1].max()),
                "speed_mps": float(steps.states[first, 2]),
                "latitude_deg": float(latitude[0]),
                "longitude_deg": float(longitude[0]),
                "x_m": float(x_m),
                "y_m": float(y_m),
                "step": first,
            }
        )
    columns = ["time_s", "lasts_s", "hardest_mps2", "speed_mps", "latitude_deg", "longitude_deg", "x_m", "y_m", "step"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values("hardest_mps2", ascending=False, ignore_index=True)


def tabulate_brakings(
    drive: Drive, steps: Steps, answers: Answers, cars: Mapping[str, CarMotion], brakings: Sequence[Braking]
) -> pd.DataFrame:
    """Returns a row for each hard braking: what was heard of it, and when person and policies answered.

    A time is from the onset until 1 m/s2 of braking, 0 if it was there already, NaN if it did not come within 5 s.
    """
    demands = {PERSON: np.maximum(-steps.states[:, 3], 0.0), **answers.assist_mps2}
    gaps = {car: motion.gap_m for car, motion in cars.items()}
    rows = []
    for braking in brakings:
        sent, heard, first_s = _count_messages(drive, braking)
        rows.append(
            {
                "onset_s": braking.onset_s,
                "car": braking.car,
                "peak_mps2": braking.peak_mps2,
                "speed_mps": braking.speed_mps,
                "final_mps": braking.final_mps,
                "away_m": float(gaps[braking.car][braking.first]),
                "is_judged": bool(steps.is_judged[braking.first]),
                "sent": sent,
                "heard": heard,
                "first_heard_s": first_s,
                **{f"{name}_s": _answer_s(own, braking, steps) for name, own in demands.items()},
            }
        )
    fixed = [
        "onset_s",
        "car",
        "peak_mps2",
        "speed_mps",
        "final_mps",
        "away_m",
        "is_judged",
        "sent",
        "heard",
        "first_heard_s",
    ]
    return pd.DataFrame(rows, columns=[*fixed, *[f"{name}_s" for name in demands]])


def _answer_s(demand_mps2: Floats, braking: Braking, steps: Steps) -> float:
    window = slice(braking.first, braking.first + round(REACTION_LIMIT_S / STEP_S) + 1)
    answered = np.flatnonzero((demand_mps2[window] >= REACTION_MPS2) & steps.is_judged[window])
    return round(float(answered[0]) * STEP_S, 1) if len(answered) else np.nan


def _count_messages(drive: Drive, braking: Braking) -> tuple[int, int, float]:
    """Returns how many messages the braking car sent and the ego heard, and when the ego heard the first, from 0."""
    place = drive.peers.index(braking.car)
    messages = drive.heard.of(place)
    within = (messages.sent_s >= braking.onset_s - 1e-3) & (messages.sent_s < braking.onset_s + HEARD_S)
    first_s = float(messages.heard_s[within].min() - braking.onset_s) if within.any() else np.nan
    log = drive.sensors.get(braking.car)
    if log is None:
        return round(HEARD_S / STEP_S), int(within.sum()), first_s
    sent = (log.time_s >= braking.onset_s - 1e-3) & (log.time_s < braking.onset_s + HEARD_S)
    return int(sent.sum()), int(within.sum()), first_s
