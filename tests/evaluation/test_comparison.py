"""Two policies on the same episodes."""

import numpy as np
import pandas as pd
import pytest

from roadsense.errors import InputError
from roadsense.evaluation.comparison import BETTER, FIGURES, NOTHING_SHOWN, WORSE, compare_all, compare_policies, holm
from roadsense.evaluation.summary import summarise
from tests.evaluation.made_up import crashes, made_up


def compared(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    found = compare_policies(pd.concat([first, second]), "policy", "other", np.random.default_rng(0))
    assert found["figure"].tolist() == [figure.name for figure in FIGURES]
    return found.set_index("figure")


def test_collisions_in_pairs() -> None:
    row = compared(crashes("policy", 100, 5), crashes("other", 100, 20, first=3)).loc["collision"]
    # Numbers 0 to 4 against 3 to 22: 3 only in the first, 18 only in the second.
    assert (row["better"], row["worse"], row["equal"], row["pairs"]) == (18, 3, 79, 100)
    assert row["difference"] == pytest.approx(-0.15)
    assert row["low"] < -0.15 < row["high"] < 0
    assert row["p_value"] == pytest.approx(0.00149, abs=1e-5)
    assert row["improvement"] == pytest.approx((18 + 79 / 2) / 100)
    assert row["verdict"] == BETTER
    assert row["more_pairs"] == 0


def test_more_is_better_where_it_is() -> None:
    rows = compared(made_up("policy", 50, min_ttc_s=[4.0, 4.1, 4.2, 4.3, 4.4]), made_up("other", 50, min_ttc_s=2.0))
    row = rows.loc["min_ttc_s"]
    assert row["difference"] == pytest.approx(2.2)
    assert (row["better"], row["worse"], row["verdict"]) == (50, 0, BETTER)
    rows = compared(made_up("policy", 50, follower_min_ttc_s=[1.0, 1.1, 1.2, 1.3, 1.4]), made_up("other", 50))
    assert rows.loc["follower_min_ttc_s", "verdict"] == WORSE
    assert rows.loc["max_jerk_mps3", "verdict"] == NOTHING_SHOWN


def test_no_answer_is_the_slowest_answer_and_calm_episodes_have_none() -> None:
    first = made_up("policy", 10, reaction_time_s=1.0, hazard=[True, False])
    row = compared(first, made_up("other", 10, reaction_time_s=np.nan, hazard=[True, False])).loc["reaction_time_s"]
    assert row["pairs"] == 5
    assert row["difference"] == pytest.approx(1.0 - 5.0)


def test_speed_taken_off_is_the_same_figure_in_table_and_comparison() -> None:
    """A ratio of sums: short calm times don't count as much as long ones."""
    own = made_up("policy", 20, 4, calm_s=[1.0, 39.0], calm_speed_loss_mps=[1.0, 0.0], false_braking_s=[1.0, 0.0])
    row = compared(own, made_up("other", 20, 4)).loc["calm_braking"]
    summary = summarise(own, np.random.default_rng(0)).iloc[0]
    assert row["first_mean"] == pytest.approx(summary["calm_braking"]) == pytest.approx(1.5)
    assert row["difference"] == pytest.approx(1.5)
    assert row["low"] < 1.5 < row["high"]
    share = compared(own, made_up("other", 20, 4)).loc["false_braking_share"]
    assert share["first_mean"] == pytest.approx(summary["false_braking_share"]) == pytest.approx(1 / 40)


def test_only_episodes_that_are_the_same_are_pairs() -> None:
    first, second = made_up("policy", 10), made_up("other", 10)
    second.loc[0, "sumo_seed"] = 5  # other traffic
    second.loc[1, "error"] = "SUMO stopped"
    assert compared(first, second).loc["collision", "pairs"] == 8
    with pytest.raises(InputError, match="none in common"):
        compared(first, second.assign(seed=second["seed"] + 100))


def test_two_tables_are_compared_too() -> None:
    one, two = crashes("policy", 50, 2), crashes("policy", 50, 12)
    found = compare_policies(one, "policy", "policy", np.random.default_rng(0), two).set_index("figure")
    assert found.loc["collision", "difference"] == pytest.approx(-0.2)


def test_with_all_others() -> None:
    table = pd.concat([made_up(name, 10) for name in ("policy", "other", "third")])
    found = compare_all(table, "policy", ["policy", "other", "third", "absent"], np.random.default_rng(0))
    assert found["second"].unique().tolist() == ["other", "third"]
    assert compare_all(table, "policy", [], np.random.default_rng(0)).empty


def test_holm_corrects_the_smallest_the_most() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03]), [0.03, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1.0, 1.0])


def test_interval_and_exact_test_have_to_agree() -> None:
    # Five against none: Tango's interval excludes 0, McNemar's exact test has p = 0.0625.
    row = compared(crashes("policy", 300, 5), made_up("other", 300)).loc["collision"]
    assert row["low"] > 0
    assert row["p_value"] == pytest.approx(0.0625)
    assert row["verdict"] == NOTHING_SHOWN
