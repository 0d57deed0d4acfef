"""What is said of a policy: each rule on made-up episodes, where it must speak and where it must not."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from roadsense.episodes.plan import BOUND, MUTED, POLICY
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.results import Evaluation, conclude
from roadsense.evaluation.verdicts import BAD, GOOD, NOT_ITS_DOING, OPEN, RULES, Verdict
from tests.evaluation.made_up import crashes, made_up


def judged(*tables: pd.DataFrame, claimed_rate: float = 0.01) -> dict[str, list[Verdict]]:
    found = concluded(*tables, claimed_rate=claimed_rate)
    assert {verdict.rule for verdict in found.verdicts} <= {rule.__name__.lstrip("_") for rule in RULES}
    said: dict[str, list[Verdict]] = {}
    for verdict in found.verdicts:
        said.setdefault(verdict.rule, []).append(verdict)
    return said


def concluded(*tables: pd.DataFrame, claimed_rate: float = 0.01) -> Evaluation:
    config = EvalConfig("run", claimed_rate=claimed_rate)
    return conclude(Path("folder"), config, {}, pd.concat(tables, ignore_index=True))


def marks(verdicts: list[Verdict]) -> list[str]:
    return [verdict.mark for verdict in verdicts]


def test_a_useless_policy_is_told_that_nothing_is_its_doing() -> None:
    """It never collides, on episodes where nobody does."""
    said = judged(*(made_up(name, 300) for name in (POLICY, MUTED, "unassisted")))
    assert marks(said["null_policies"]) == [BAD, BAD]
    assert all(NOT_ITS_DOING in verdict.text for verdict in said["null_policies"])
    assert "'driver alone' is within the interval (0 collisions of the policy, 0 of it" in said["null_policies"][1].text
    assert said["collision_rate"][0].mark == GOOD  # the claim itself holds, and that is not enough


def test_a_policy_that_does_as_the_driver_alone_does_is_told_so() -> None:
    same = crashes(POLICY, 300, 45), crashes("unassisted", 300, 45), crashes(MUTED, 300, 45)
    said = judged(*same)
    assert all(NOT_ITS_DOING in verdict.text for verdict in said["null_policies"])
    assert "More episodes like these would show no difference." in said["null_policies"][0].text
    assert said["radio"][0].mark == BAD


def test_a_good_policy_is_told_by_how_much_and_against_whom() -> None:
    said = judged(crashes(POLICY, 300, 3), crashes("unassisted", 300, 45), crashes(MUTED, 300, 45))
    assert marks(said["null_policies"]) == [GOOD, GOOD]
    assert (
        "3 collisions of the policy, 45 of it; difference -14.0 points, -18.4 to -10.5" in said["null_policies"][0].text
    )


def test_a_worse_policy_is_told() -> None:
    said = judged(crashes(POLICY, 300, 45), crashes("unassisted", 300, 3))
    assert marks(said["null_policies"]) == [BAD]
    assert "It collides more often than 'driver alone'" in said["null_policies"][0].text


def test_unsafe_episodes_tell_more_than_collisions_do() -> None:
    near = made_up("unassisted", 300, min_ttc_s=[1.0, 3.0, 3.0, 3.0, 3.0])
    said = judged(made_up(POLICY, 300), near)
    assert NOT_ITS_DOING in said["null_policies"][0].text
    assert marks(said["unsafe_episodes"]) == [GOOD]
    assert (
        "It has fewer unsafe episodes than 'driver alone' (0 against 60; difference -20.0 points"
        in said["unsafe_episodes"][0].text
    )
    useless = judged(made_up(POLICY, 300), made_up("unassisted", 300))["unsafe_episodes"]
    assert NOT_ITS_DOING in useless[0].text


def test_braking_all_the_time_is_no_match() -> None:
    always = made_up("always_brake", 300, false_braking_s=40.0, false_brakings=1)
    said = judged(made_up(POLICY, 300), always)
    assert said["null_policies"][0].mark == GOOD
    assert (
        "no match: it brakes for nothing in 100% of the calm time, the policy in 0.0%" in said["null_policies"][0].text
    )
    # A policy that brakes all the time itself is matched.
    said = judged(made_up(POLICY, 300, false_braking_s=40.0), always)
    assert NOT_ITS_DOING in said["null_policies"][0].text


@pytest.mark.parametrize(
    ("n", "n_collisions", "mark", "words"),
    [
        (299, 0, GOOD, "below the 1.0% asked for"),
        (150, 0, OPEN, "needs 149 more episodes that go as well"),
        (100, 2, BAD, "cannot be shown"),
    ],
)
def test_the_rate_that_was_asked_for(n: int, n_collisions: int, mark: str, words: str) -> None:
    (verdict,) = judged(crashes(POLICY, n, n_collisions))["collision_rate"]
    assert verdict.mark == mark
    assert words in verdict.text
    assert f"{n_collisions} of {n} episodes" in verdict.text


def test_the_best_rule_is_what_it_has_to_beat() -> None:
    rules = crashes("heard_drac_rule", 300, 40), crashes("heard_braking_rule", 300, 30, false_brakings=3)
    better = judged(crashes(POLICY, 300, 3, false_brakings=1), *rules)["baselines"]
    assert marks(better) == [GOOD, GOOD]
    assert "fewer collisions than the best rule on the same radio (rule: heard braking)" in better[0].text
    assert "less often than" in better[1].text
    equal = judged(crashes(POLICY, 300, 30, false_brakings=5), *rules)["baselines"]
    assert marks(equal) == [OPEN, BAD]
    assert "no shown difference" in equal[0].text
    almost = judged(crashes(POLICY, 300, 27, false_brakings=3), *rules)["baselines"]
    assert "more episodes to show one" in almost[0].text


def test_another_run_is_compared_by_its_name() -> None:
    (verdict,) = judged(crashes(POLICY, 300, 3), crashes("no_augmentation", 300, 40))["other_runs"]
    assert verdict.mark == GOOD
    assert "fewer collisions than no_augmentation" in verdict.text


def test_the_car_behind_is_watched() -> None:
    near = made_up(POLICY, 100, follower_min_ttc_s=[2.0, 2.2, 2.4, 2.1, 2.3], struck_from_behind=[True] + [False] * 99)
    said = judged(near, made_up("unassisted", 100))["car_behind"]
    assert marks(said) == [BAD, BAD]
    assert "2.2 s against 6.0 s" in said[0].text
    assert "struck by a car that was not ahead in 1 episodes" in said[1].text
    assert "car_behind" not in judged(made_up(POLICY, 100), made_up("unassisted", 100))


def test_missed_hazards_are_counted() -> None:
    missed = judged(made_up(POLICY, 100, assist_reaction_time_s=np.nan))["missed_hazards"]
    assert marks(missed) == [BAD]
    assert "100 of 100 hazards" in missed[0].text
    assert "missed_hazards" not in judged(made_up(POLICY, 100))


def test_failed_episodes_and_none_left() -> None:
    broken = made_up(POLICY, 100, error=["SUMO stopped"] + [""] * 9)
    assert "SUMO failed in 10 of 100" in judged(broken)["episodes_failed"][0].text
    (verdict,) = judged(made_up(POLICY, 5, error="SUMO stopped"), made_up("unassisted", 5))["episodes_failed"]
    assert "nothing can be said" in verdict.text
    assert "episodes_failed" not in judged(made_up(POLICY, 100))


def test_where_it_fails_and_what_nobody_could_avoid() -> None:
    bases = ["merge"] * 50 + ["curve"] * 250
    said = judged(crashes(POLICY, 300, 10, base=bases), crashes(BOUND, 300, 2))
    assert "10 of its 10 collisions are on merge (10 of 50 episodes there)" in said["where"][0].text
    assert "2 episodes end in a collision even for a driver with perfect sight" in said["upper_bound"][0].text


def test_the_gap_to_the_roads_it_was_trained_on() -> None:
    train = made_up(POLICY, 300, part="train")
    assert judged(crashes(POLICY, 300, 30), train)["generalisation"][0].mark == BAD
    assert "No gap is shown" in judged(crashes(POLICY, 300, 2), train)["generalisation"][0].text
    assert "generalisation" not in judged(crashes(POLICY, 300, 30))


def test_sumos_checks_are_told_to_be_no_evidence() -> None:
    on = made_up("unassisted", 300, part="checks_on", sumo_checks=True)
    said = judged(made_up(POLICY, 300), crashes("unassisted", 300, 45), on)["checks"]
    assert "With SUMO's checks on the driver alone collides in 0 of 300 episodes, with them off in 45" in said[0].text
