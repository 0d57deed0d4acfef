"""What made-up episodes add up to."""

import math

import numpy as np
import pandas as pd
import pytest

from roadsense.evaluation.policies import order_policies, record_of
from roadsense.evaluation.summary import summarise, write_markdown
from tests.evaluation.made_up import crashes, made_up


def row_of(table: pd.DataFrame) -> pd.Series:
    return summarise(table, np.random.default_rng(0)).iloc[0]


def test_figures_of_a_policy() -> None:
    table = crashes("policy", 8, 2, false_braking_s=2.0, false_brakings=1)
    table.loc[0, "was_struck"] = True
    table["assist_reaction_time_s"] = [0.2] * 5 + [math.nan] * 3
    failed = table.iloc[[0]].assign(seed=99, error="SUMO stopped")
    row = row_of(pd.concat([table, failed]))
    assert (row["episodes"], row["failed"], row["collisions"], row["was_struck"]) == (8, 1, 2, 1)
    assert row["collision_rate"] == 0.25
    # Clopper and Pearson's interval of 2 in 8, from tables.
    assert (row["collision_rate_low"], row["collision_rate_high"]) == pytest.approx((0.0319, 0.6509), abs=1e-4)
    assert row["impact_speed_mps"] == 4.0
    assert (row["hazards"], row["missed"], row["missed_rate"]) == (8, 3, 3 / 8)
    assert row["false_braking_share"] == pytest.approx(2 / 40)
    assert row["false_brakings_per_h"] == pytest.approx(3600 / 40)
    assert row["messages_lost_share"] == pytest.approx(0.1)


def test_the_middle_half_of_what_was_measured() -> None:
    table = made_up("policy", 8, min_ttc_s=[0.1, 1.0, 2.0, 3.0, 4.0, 5.0, math.inf, math.inf])
    assert row_of(table)["min_ttc_s"] == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert row_of(made_up("policy", 4, min_ttc_s=math.inf))["min_ttc_s"] == 10.0  # the cap
    # A hazard that is not answered counts as answered after 5 s.
    reacts = made_up("policy", 4, reaction_time_s=[1.0, 2.0, math.nan, math.nan])
    assert row_of(reacts)["reaction_s"] == pytest.approx((2 + 5) / 2)


def test_unsafe_is_a_collision_or_nearer_than_a_second_and_a_half() -> None:
    table = made_up("policy", 5, min_ttc_s=[1.49, 1.5, 3.0, 3.0, 3.0], collision=[False] * 4 + [True])
    assert row_of(table)["unsafe"] == 2
    assert row_of(table)["unsafe_rate"] == 0.4


def test_every_rate_has_an_interval_that_holds_it() -> None:
    table = crashes("policy", 40, 4, ordinary_stops=2, ordinary_stops_braked=[0, 1], false_brakings=[0, 0, 3],
                    false_braking_s=[0.0, 0.0, 1.0])  # fmt: skip
    row = row_of(table)
    intervals = [name.removesuffix("_low") for name in row.index if name.endswith("_low")]
    intervals = [name for name in intervals if not np.isnan(row[name])]  # no calm episode and no decoy here
    assert {"collision_rate", "unsafe_rate", "missed_rate", "stops_braked_share", "false_brakings_per_h"} <= set(
        intervals
    )
    for name in intervals:
        assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"], name
    assert row["stops_braked_share"] == 0.25


def test_an_interval_over_scenarios_does_not_shrink_with_more_of_the_same_episodes() -> None:
    def width(n: int) -> float:
        braking = [0, 0, 0, 0, 4]  # in one scenario of five
        row = row_of(made_up("policy", n, false_brakings=braking, max_jerk_mps3=[8.0, 9.0, 10.0, 11.0, 12.0]))
        assert row["false_brakings_per_h_low"] == 0.0
        return row["max_jerk_mps3_high"] - row["max_jerk_mps3_low"]

    assert width(500) == pytest.approx(width(50), rel=0.3)


def test_policies_have_their_order_and_kind() -> None:
    names = order_policies(["unassisted", "no_augmentation", "perfect_driver", "policy", "unassisted"])
    assert names == ["policy", "no_augmentation", "unassisted", "perfect_driver"]
    kinds = ["judged", "another run", "null policy", "upper bound"]
    assert [record_of(name).kind for name in names] == kinds
    assert record_of("heard_drac_rule").kind == "rule"


def test_the_table_for_people() -> None:
    summary = summarise(pd.concat([made_up("policy", 4), crashes("unassisted", 4, 1)]), np.random.default_rng(0))
    text = write_markdown(summary)
    assert text.startswith("| policy | episodes | collisions | rate | from | to | at most (one-sided) |")
    assert "| unassisted | 4 | 1 | 25.0% | 0.6% | 80.6% | 75.1% | 4.0 |" in text
    assert "| policy | 4 | 0 | 0.0% | 0.0% | 60.2% | 52.7% | - |" in text
