"""Exported and trained policies are compared in pairs, and what is worse is said."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from roadsense.envs.episode import EnvConfig
from roadsense.episodes import POLICY, Plan
from roadsense.errors import SimulationError
from roadsense.exporting import closed_loop
from roadsense.exporting.closed_loop import (
    AS_GOOD,
    NOT_SHOWN,
    WORSE,
    compare_driving,
    drive_all,
    rate_difference_interval,
)


def make_rows(policy, n=400, collisions=(), **columns):
    row = {
        "error": "", "collision": False, "hazard": True, "assist_reaction_time_s": 0.3, "min_ttc_s": 3.0,
        "false_braking_s": 0.2,
    }  # fmt: skip
    table = pd.DataFrame([{**row, "policy": policy, "seed": place} for place in range(n)])
    table["scenario"] = [f"scenario_{place % 20}" for place in range(n)]
    table["config_path"] = table["scenario"] + "/scenario.sumocfg"
    table.loc[list(collisions), "collision"] = True
    return table.assign(**columns)


def compare(exported, trained):
    table = pd.concat([exported, trained.sample(frac=1, random_state=0)], ignore_index=True)
    return compare_driving(table, "int8", np.random.default_rng(0))


def test_equal_driving_of_enough_episodes_is_as_good():
    found = compare(make_rows("int8", collisions=[3]), make_rows("trained", collisions=[3]))
    assert (found.verdict, found.episodes, found.collisions, found.trained_collisions) == (AS_GOOD, 400, 1, 1)
    assert (found.only_exported, found.only_trained, found.p_value) == (0, 0, 1.0)
    assert -0.02 < found.collision_rate.low < 0 == found.collision_rate.value < found.collision_rate.high < 0.02
    assert "drives as well as" in found.in_words()
    assert not found.is_warning()


def test_too_few_episodes_show_nothing():
    found = compare(make_rows("int8", n=40), make_rows("trained", n=40))
    assert found.verdict == NOT_SHOWN
    assert "for want of episodes" in found.in_words()


def test_more_collisions_are_said_loudly():
    found = compare(make_rows("int8", collisions=range(12)), make_rows("trained", collisions=[0]))
    assert found.verdict == WORSE
    assert found.collision_rate.value == pytest.approx(11 / 400)
    assert found.in_words().startswith("WARNING: int8 drives worse than the trained policy (collisions)")


def test_one_more_collision_may_be_chance_and_is_a_warning_as_well():
    found = compare(make_rows("int8", collisions=[5]), make_rows("trained"))
    assert found.verdict != WORSE
    assert found.in_words().startswith("WARNING: int8 collides more often, which may be chance.")


def test_fewer_collisions_are_no_warning():
    found = compare(make_rows("int8"), make_rows("trained", collisions=range(12)))
    assert found.collision_rate.high < 0
    assert not found.is_warning()


@pytest.mark.parametrize(
    ("columns", "figure"),
    [
        ({"false_braking_s": 0.5}, "false_braking_s"),
        ({"assist_reaction_time_s": 0.6}, "assist_reaction_s"),
        ({"assist_reaction_time_s": np.nan}, "assist_reaction_s"),
        ({"min_ttc_s": 2.0}, "danger_s"),
    ],
)
def test_a_figure_that_is_worse_in_every_scenario_is_named(columns, figure):
    found = compare(make_rows("int8", **columns), make_rows("trained"))
    assert found.worse_figures() == [figure]
    assert found.verdict == WORSE
    assert closed_loop.FIGURES[figure][0] in found.in_words()
    assert compare(make_rows("int8"), make_rows("trained", **columns)).verdict == AS_GOOD


def test_a_hazard_that_is_not_answered_counts_as_one_answered_at_the_limit():
    found = compare(make_rows("int8", assist_reaction_time_s=np.nan), make_rows("trained"))
    assert found.figures["assist_reaction_s"].value == pytest.approx(5.0 - 0.3)


def test_a_policy_that_never_brakes_makes_equality_say_little():
    idle = {"assist_reaction_time_s": np.nan, "false_braking_s": 0.0}
    found = compare(make_rows("int8", **idle), make_rows("trained", **idle))
    assert found.brakes == 0
    assert "never braked" in found.in_words()


def test_pairs_in_which_sumo_failed_are_left_out_on_both_sides():
    trained = make_rows("trained", collisions=[0, 1])
    exported = make_rows("int8", collisions=[1]).astype({"collision": object})
    exported.loc[0, ["error", "collision"]] = ["SUMO failed", np.nan]
    found = compare(exported, trained)
    assert (found.episodes, found.failed, found.only_trained, found.trained_collisions) == (399, 1, 0, 1)


@pytest.mark.parametrize(("rate", "n"), [(0.0, 50), (0.01, 100), (0.05, 300)])
def test_the_interval_of_a_difference_covers_the_truth(rate, n):
    # Both sides collide with the same rate, never in the same episode: the difference is 0 and hardest to cover.
    counts = np.arange(n // 2)
    weights = np.outer(binom.pmf(counts, n, rate), binom.pmf(counts, n, rate))
    misses = [
        weights[a, b]
        for a in counts
        for b in counts
        if weights[a, b] > 1e-7 and not _covers(rate_difference_interval(a, b, n), 0.0)
    ]
    assert sum(misses) <= 0.05


def _covers(interval, value):
    return interval.low <= value <= interval.high


def test_no_collisions_leave_an_interval_that_shrinks_with_episodes():
    few, many = rate_difference_interval(0, 0, 20), rate_difference_interval(0, 0, 300)
    assert few.high > 0.15
    assert 0.01 < many.high < 0.02
    assert (many.low, many.value) == (-many.high, 0.0)
    assert np.isnan(rate_difference_interval(0, 0, 0).value)


def test_all_policies_drive_the_same_plans_and_failure_everywhere_is_an_error(monkeypatch, tmp_path):
    driven = []

    def run_plans(plans, worker, n_workers):
        driven.append([(plan.policy, plan.seed) for plan in plans])
        return [{"policy": plan.policy, "seed": plan.seed, "error": "no road"} for plan in plans]

    monkeypatch.setattr(closed_loop, "run_plans", run_plans)
    plans = [Plan(name, tmp_path, seed, True) for seed in (1, 2) for name in (POLICY, "unassisted")]
    with pytest.raises(SimulationError, match=r"each of 4 episodes.* no road"):
        drive_all(plans, {"trained": tmp_path, "int8": tmp_path}, EnvConfig(), 1)
    assert driven == [[(POLICY, 1), (POLICY, 2)]] * 2
