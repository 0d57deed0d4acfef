"""A judged drive: a policy that runs along on a recorded drive, beside the person and the rules. Open loop.

What if the assist had braked too: the ego's speed under the policy, for seconds, behind the recorded leader.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from roadsense.drives.answers import (
    PERSON,
    Answers,
    compare_answers,
    list_onsets,
    tabulate_brakings,
    tabulate_needless,
)
from roadsense.drives.drive import Drive
from roadsense.drives.motion import Braking, CarMotion, find_brakings, follow_cars, needed_mps2
from roadsense.drives.steps import STEP_S, Receiver, Steps, make_steps, run_policy, ticks
from roadsense.envs.assist import apply_brake_mps2, arbitrate_mps2, assist_deceleration_mps2
from roadsense.envs.metrics import required_deceleration_mps2
from roadsense.envs.observation import N_VALUES, split_observation
from roadsense.errors import DriveError
from roadsense.evaluation.policies import RULES
from roadsense.policies.rules import BASELINES, Policy

LEAD_IN_S, HORIZON_S = 0.5, 8.0
"""It begins this long before a braking and ends after this time: later the leader would have driven otherwise, too."""


def try_out(
    drive: Drive, steps: Steps, cars: Mapping[str, CarMotion], brakings: Sequence[Braking], policy: Policy
) -> pd.DataFrame:
    """Returns for each hard braking the smallest gap that was, and the one that would have been with the policy.

    The person brakes as recorded; the stronger of person and policy acts, through the brake. The leader and all
    messages stay as they were. Brakings during which the leader's position is not known are left out.

    Args:
        drive: the drive.
        steps: its steps.
        cars: motion of the cars that the ego heard.
        brakings: hard brakings of cars ahead.
        policy: policy that acts.
    """
    rows = [_try(drive, steps, cars, braking, policy) for braking in brakings] if drive.n_ahead else []
    columns = ["onset_s", "car", "lasts_s", "gap_m", "gap_with_m", "required_mps2", "required_with_mps2", "slowed_mps"]
    return pd.DataFrame([row for row in rows if row], columns=columns)


def _try(
    drive: Drive, steps: Steps, cars: Mapping[str, CarMotion], braking: Braking, policy: Policy
) -> dict[str, object] | None:
    leader = cars[drive.peers[0]]
    first = max(braking.first - round(LEAD_IN_S / STEP_S), 0)
    known = steps.is_judged & np.isfinite(leader.gap_m) & np.isfinite(leader.speed_mps)
    last = first
    while last < min(first + round(HORIZON_S / STEP_S), len(steps) - 1) and known[last]:
        last += 1
    if last - first < round(2.0 / STEP_S):
        return None
    speeds_mps = _drive(drive, steps, first, last, policy)
    recorded = steps.states[first : last + 1, 2]
    saved_m = np.r_[0.0, np.cumsum((recorded - speeds_mps)[1:])] * STEP_S
    gap_m = leader.gap_m[first : last + 1]
    other = slice(first, last + 1)
    motion = list(zip(leader.speed_mps[other].tolist(), leader.acceleration_mps2[other].tolist(), strict=True))
    return {
        "onset_s": braking.onset_s,
        "car": braking.car,
        "lasts_s": (last - first) * STEP_S,
        "gap_m": float(np.nanmin(gap_m)),
        "gap_with_m": float(np.nanmin(gap_m + saved_m)),
        "required_mps2": _most_required(gap_m.tolist(), recorded.tolist(), motion),
        "required_with_mps2": _most_required((gap_m + saved_m).tolist(), speeds_mps.tolist(), motion),
        "slowed_mps": float((recorded - speeds_mps).max()),
    }


def _drive(drive: Drive, steps: Steps, first: int, last: int, policy: Policy) -> np.ndarray:
    """Returns the ego's speed at each step under person and policy, (last - first + 1,)."""
    receiver = Receiver(drive.heard, len(drive.peers), float(steps.time_s[first]))
    row = np.zeros(N_VALUES, np.float32)
    _, _, speed_mps, applied_mps2, _ = steps.state(first)
    assist_mps2, saved_m = 0.0, 0.0
    speeds = [speed_mps]
    for step in range(first, last):
        tick = ticks(steps.time_s[step : step + 1])[0]
        x_m, y_m, recorded_mps, _, heading_rad = steps.state(step)
        x_m, y_m = x_m - saved_m * np.cos(heading_rad), y_m - saved_m * np.sin(heading_rad)
        wish_mps2 = float(steps.driver_mps2[step])
        state = (float(x_m), float(y_m), speed_mps, applied_mps2, heading_rad)
        receiver.observe(row, state, (wish_mps2, assist_mps2), tick)
        assist_mps2 = assist_deceleration_mps2(float(policy(split_observation(row[None]))[0, 0]))
        wanted_mps2 = arbitrate_mps2(wish_mps2, assist_mps2)
        applied_mps2 = apply_brake_mps2(wanted_mps2, applied_mps2, STEP_S)
        # Without the assist's braking the car does what was recorded, so that errors of a wish don't add up.
        change = steps.states[step + 1, 2] - recorded_mps if wanted_mps2 >= wish_mps2 else applied_mps2 * STEP_S
        speed_mps = max(0.0, speed_mps + float(change))
        speeds.append(speed_mps)
        saved_m += (float(steps.states[step + 1, 2]) - speed_mps) * STEP_S
    return np.array(speeds)


def _most_required(gaps_m: list[float], speeds_mps: list[float], leader: list[tuple[float, float]]) -> float:
    values = zip(gaps_m, speeds_mps, leader, strict=True)
    return max(required_deceleration_mps2(gap_m, speed_mps, motion) for gap_m, speed_mps, motion in values)


Floats = NDArray[np.float64]

POLICY = "policy"


@dataclass(frozen=True)
class Judgement:
    """A judged drive.

    Attributes:
        drive: the drive.
        policy_name: path or name of the policy.
        steps: the ego at 10 Hz.
        cars: motion of the cars that it heard.
        needed_mps2: hardest braking that the cars ahead justify at each step; NaN where the leader is not known.
        actions: actions of the policy and the rules at each step, by name.
        answers: their demands beside the person's.
        needless: table of needless braking, by policy.
        onsets: when and where the policy would have braked for nothing.
        brakings: hard brakings of cars ahead.
        events: a row for each of them: what was heard, who answered when.
        what_ifs: smallest gaps without and with the policy.
        folder: folder of the report; None if it was not written.
    """

    drive: Drive
    policy_name: str
    steps: Steps
    cars: dict[str, CarMotion]
    needed_mps2: Floats
    actions: dict[str, Floats]
    answers: Answers
    needless: pd.DataFrame
    onsets: pd.DataFrame
    brakings: list[Braking]
    events: pd.DataFrame
    what_ifs: pd.DataFrame
    folder: Path | None = None

    def sentences(self) -> list[str]:
        """Returns what the drive shows, in sentences, the most important first."""
        own = self.needless.set_index("policy").loc[POLICY]
        found = [
            "Open loop: the recorded car did not brake with the policy, so what comes after its first braking is as "
            "the person drove, not as it would have gone on."
        ]
        if own["calm_min"] > 0:
            found.append(
                f"In {own['calm_min']:.1f} min of calm time the policy would have braked for nothing "
                f"{own['onsets']:.0f} times ({own['onsets_per_h']:.1f} an hour, {own['braking_share']:.2%} of it)."
            )
        else:
            found.append("No calm time: the leader's distance is not known anywhere, or it braked all the time.")
        judged = self.events[self.events["is_judged"]] if len(self.events) else self.events
        if not len(judged):
            return [*found, "No car ahead braked harder than 3 m/s2: nothing is shown of hazards."]
        mine, person = judged[f"{POLICY}_s"], judged[f"{PERSON}_s"]
        found.append(
            f"Cars ahead braked hard {len(judged)} times. The policy answered {mine.notna().sum()} of them"
            + (f", on average after {mine.mean():.1f} s" if mine.notna().any() else "")
            + f"; the person {person.notna().sum()}"
            + (f", after {person.mean():.1f} s." if person.notna().any() else ".")
        )
        if len(self.what_ifs):
            wider = self.what_ifs["gap_with_m"] - self.what_ifs["gap_m"]
            found.append(
                f"Had it braked too, for at most {HORIZON_S:g} s each: the smallest gap would have been "
                f"{wider.mean():.1f} m wider on average, at least {self.what_ifs['gap_with_m'].min():.1f} m instead of "
                f"{self.what_ifs['gap_m'].min():.1f} m."
            )
        return found


def judge_drive(drive: Drive, policy: Policy, policy_name: str = POLICY) -> Judgement:
    """Lets a policy run along on a recorded drive, beside the person and the rules.

    Args:
        drive: the drive.
        policy: policy that is judged.
        policy_name: its name in the report.

    Raises:
        DriveError: if nothing of the drive can be judged.
    """
    steps = make_steps(drive)
    if not steps.is_judged.any():
        raise DriveError(f"{drive.folder}: expected steps at which position, speed and heading of the ego are known.")
    cars = follow_cars(drive, steps)
    needed, brakings = needed_mps2(steps, cars, drive.n_ahead), find_brakings(steps, cars, drive.n_ahead)
    policies = {POLICY: policy, **{name: BASELINES[name] for name in RULES}}
    actions = {name: run_policy(one, steps) for name, one in policies.items()}
    answers = compare_answers(steps, actions, needed, brakings)
    return Judgement(
        drive, policy_name, steps, cars, needed, actions, answers, tabulate_needless(answers),
        list_onsets(drive, steps, answers, POLICY), brakings, tabulate_brakings(drive, steps, answers, cars, brakings),
        try_out(drive, steps, cars, brakings, policy),
    )  # fmt: skip
