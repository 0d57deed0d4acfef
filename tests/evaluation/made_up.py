"""Episodes made up by hand, in the columns of the schema."""

from typing import Any

import numpy as np
import pandas as pd

from roadsense.evaluation.schema import to_table

QUIET: dict[str, Any] = {
    "part": "held_out", "base": "road", "error": "", "sumo_seed": 1, "hazard_forced": True, "sumo_checks": False,
    "curve_value": np.nan, "collision": False, "was_struck": False, "hazard": True, "hazard_kind": "brake",
    "duration_s": 50.0, "impact_speed_mps": 0.0, "reaction_time_s": 1.0, "assist_reaction_time_s": 0.2,
    "min_gap_m": 5.0, "min_ttc_s": 3.0, "min_time_headway_s": 0.6, "max_drac_mps2": 2.0, "max_jerk_mps3": 10.0,
    "rms_jerk_mps3": 1.0, "calm_s": 40.0, "false_braking_s": 0.0, "false_brakings": 0, "distance_m": 1000.0,
    "time_lost_s": 0.0, "calm_speed_loss_mps": 0.0, "needless_speed_loss_mps": 0.0, "hazard_braking_mps": 12.0,
    "excess_braking_mps": 0.0, "follower_min_ttc_s": 6.0, "overtook_leader": False, "sumo_interventions": 0,
    "messages_heard": 900, "messages_lost": 100, "condition": "", "decoy_kind": "none", "decoy_answered": False,
}  # fmt: skip
"""An episode of 50 s with a hazard that was answered well."""


def made_up(policy: str, n: int, n_scenarios: int = 5, **columns: Any) -> pd.DataFrame:
    """`n` episodes, each scenario in turn, each with a seed of its own; what differs from `QUIET` is given."""
    numbers = np.arange(n)
    table = pd.DataFrame({name: [value] * n for name, value in QUIET.items()})
    scenarios = [f"scenario_{number % n_scenarios}" for number in numbers]
    table = table.assign(policy=policy, scenario=scenarios, config_path=scenarios, seed=numbers)
    return to_table(table.assign(**{name: np.resize(value, n) for name, value in columns.items()}))


def crashes(policy: str, n: int, n_collisions: int, first: int = 0, **columns: Any) -> pd.DataFrame:
    """`n` episodes of which `n_collisions`, from the number `first` on, end in a collision at 4 m/s."""
    collided = (np.arange(n) >= first) & (np.arange(n) < first + n_collisions)
    crashed = {
        "collision": collided,
        "impact_speed_mps": np.where(collided, 4.0, 0.0),
        "min_ttc_s": np.where(collided, 0.0, 3.0),
        "time_lost_s": np.where(collided, np.nan, 0.0),
    }
    return made_up(policy, n, **{**crashed, **columns})
