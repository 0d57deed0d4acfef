"""A judged drive: a policy that runs along on a recorded drive, beside the person and the rules. Open loop."""

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
from roadsense.drives.steps import Steps, make_steps, run_policy
from roadsense.drives.what_if import HORIZON_S, try_out
from roadsense.errors import DriveError
from roadsense.policies.baselines import BASELINES
from roadsense.policies.rules import Policy

Floats = NDArray[np.float64]

POLICY = "policy"
BESIDE = ("heard_braking_rule", "heard_drac_rule", "heard_prediction_rule", "cautious_rule")
"""Rules on the same messages that every policy is judged beside."""


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
    policies = {POLICY: policy, **{name: BASELINES[name] for name in BESIDE}}
    actions = {name: run_policy(one, steps) for name, one in policies.items()}
    answers = compare_answers(steps, actions, needed, brakings)
    return Judgement(
        drive, policy_name, steps, cars, needed, actions, answers, tabulate_needless(answers),
        list_onsets(drive, steps, answers, POLICY), brakings, tabulate_brakings(drive, steps, answers, cars, brakings),
        try_out(drive, steps, cars, brakings, policy),
    )  # fmt: skip
