"""What made-up episodes add up to."""

import math

import numpy as np
import pandas as pd
import pytest

from roadsense.episodes import MUTED, NULL_POLICIES, POLICY
from roadsense.summary import find_claims, summarise, write_markdown


def made_up(policy: str, collisions: list[int], false_braking_s: float = 0.0) -> pd.DataFrame:
    """Episodes of 100 s with a hazard each, in the columns the summary reads."""
    n_episodes = len(collisions)
    collision = pd.Series(collisions, dtype=bool)
    return pd.DataFrame(
        {
            "policy": policy, "scenario": "road", "config_path": "road", "seed": range(n_episodes), "error": "",
            "collision": collision, "struck_from_behind": False, "impact_speed_mps": np.where(collision, 4.0, 0.0),
            "hazard_forced": True, "hazard": True, "reaction_time_s": 1.0, "assist_reaction_time_s": math.nan,
            "min_ttc_s": np.where(collision, 0.0, math.inf), "calm_s": 100.0, "false_braking_s": false_braking_s,
            "false_brakings": int(false_braking_s > 0), "max_jerk_mps3": 10.0, "rms_jerk_mps3": 1.0,
            "distance_m": 1000.0, "sumo_interventions": 0,
        }
    )  # fmt: skip


def test_figures_of_a_policy() -> None:
    table = made_up("policy", [1, 1, 0, 0, 0, 0, 0, 0], false_braking_s=2.0)
    table.loc[0, "struck_from_behind"] = True
    table["assist_reaction_time_s"] = [0.2] * 5 + [math.nan, 9.0, math.nan]  # after 9 s it is no answer
    failed = table.iloc[[0]].assign(seed=99, error="SUMO stopped")
    row = summarise(pd.concat([table, failed]), np.random.default_rng(0)).iloc[0]
    assert (row["episodes"], row["failed"], row["collisions"], row["struck_from_behind"]) == (8, 1, 2, 1)
    assert row["collision_rate"] == 0.25
    assert row["impact_speed_mps"] == 4.0
    assert (row["assist_answered"], row["assist_reaction_s"], row["reaction_s"]) == (5 / 8, 0.2, 1.0)
    assert row["false_braking_share"] == pytest.approx(0.02)
    assert row["false_brakings_per_h"] == pytest.approx(36.0)
    assert row["min_ttc_s"] == 10.0  # the cap, in the middle half


def test_a_claim_that_a_null_policy_meets_is_not_the_policys_doing() -> None:
    nobody = [made_up(name, [0] * 20) for name in (POLICY, *NULL_POLICIES)]
    summary = summarise(pd.concat(nobody), np.random.default_rng(0)).set_index("policy")
    assert summary.loc[POLICY, "claim"].startswith("not the policy's doing: as good as policy_muted, ")
    assert "not the policy's doing" in write_markdown(summary.reset_index())


def test_a_null_policy_that_brakes_for_nothing_is_no_match() -> None:
    crash = [1] * 10 + [0] * 10
    table = pd.concat(
        [
            made_up(POLICY, [0] * 20, false_braking_s=0.1),
            made_up("unassisted", crash),
            made_up(MUTED, crash),
            made_up("always_brake", [0] * 20, false_braking_s=100.0),
        ]
    )
    claims = find_claims(table).query("figure == 'collisions'").set_index("null_policy")
    assert claims.loc["unassisted", ["better", "worse", "equal"]].tolist() == [10, 0, 10]
    assert claims.loc["unassisted", "p_value"] == pytest.approx(2 / 2**10)
    assert claims["verdict"].to_dict() == {
        MUTED: "better", "unassisted": "better", "always_brake": "no match: brakes for nothing",
    }  # fmt: skip
    summary = summarise(table, np.random.default_rng(0)).set_index("policy")
    assert summary.loc[POLICY, "claim"] == "fewer collisions than policy_muted, unassisted"
