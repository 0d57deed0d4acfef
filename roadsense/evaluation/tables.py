"""Makes the table of episodes: plan, the scenario's values in the dataset, and outcome of each."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from roadsense.episodes.plan import BOUND, Row
from roadsense.evaluation.plans import PlannedEpisode
from roadsense.evaluation.schema import to_table
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset

ALONE = "unassisted"
"""The policy whose time over the same distance is the reference for time lost."""
PAIR = ["part", "condition", "curve_value", "config_path", "seed", "hazard_forced", "sumo_checks"]
"""Episodes with equal values here are the same episode with another policy."""


def make_table(episodes: Sequence[PlannedEpisode], rows: Sequence[Row], sumo_checks: bool) -> pd.DataFrame:
    """Returns the table of episodes, as `roadsense.evaluation.schema` describes it.

    Args:
        episodes: planned episodes.
        rows: row of each episode, in the same order.
        sumo_checks: whether SUMO's checks were on if the plan does not say.
    """
    planned = [
        {
            "part": one.part,
            "curve_value": one.curve_value,
            "condition": one.condition,
            "sumo_checks": sumo_checks if one.plan.sumo_checks is None else one.plan.sumo_checks,
        }
        for one in episodes
    ]
    factors = read_factors({one.plan.config_path for one in episodes})
    joined = [
        {**row, **plan, **factors.get(str(row["config_path"]), {})} for row, plan in zip(rows, planned, strict=True)
    ]
    table = to_table(pd.DataFrame(joined))
    return table.assign(time_lost_s=time_lost_s(table), excess_braking_mps=excess_braking_mps(table))


def read_factors(paths: set[Path]) -> dict[str, dict[str, Any]]:
    """Returns the drawn values of each scenario that belongs to a dataset, by its path; see `FACTOR_COLUMNS`."""
    factors: dict[str, dict[str, Any]] = {}
    for folder in {path.parent.parent.parent for path in paths}:
        if not (folder / MANIFEST_NAME).is_file():
            continue
        records = {record.config: record.variation for record in Dataset.open(folder).scenarios}
        for path in paths:
            variation = records.get(path.relative_to(folder).as_posix()) if path.is_relative_to(folder) else None
            if variation is not None:
                factors[str(path)] = _factors_of(variation)
    return factors


def _factors_of(variation: Mapping[str, Any]) -> dict[str, Any]:
    levels = variation.get("levels", {})
    names = ("density", "sigma", "speed_mean", "friction", "convoy_size")
    found = {f"factor_{name}": float(levels.get(name, np.nan)) for name in names}
    return {**found, "factor_radio": variation.get("v2v") or ""}


def time_lost_s(table: pd.DataFrame) -> pd.Series:
    """Returns how much longer each episode took than the driver alone needs for the same distance, in s.

    It is the duration minus distance / speed, with the driver alone's mean speed in the same episode. NaN if one of the
    two collided, failed, or stood still all the time, or if the driver alone did not drive it.
    """
    ends_well = (table["error"] == "") & ~table["collision"] & (table["distance_m"] > 0)
    alone = table[ends_well & (table["policy"] == ALONE)]
    speed = alone.assign(alone_mps=alone["distance_m"] / alone["duration_s"])[[*PAIR, "alone_mps"]]
    joined = table[PAIR].merge(speed.drop_duplicates(PAIR), on=PAIR, how="left")["alone_mps"]
    lost = table["duration_s"] - table["distance_m"] / joined.set_axis(table.index)
    return lost.where(ends_well)


def excess_braking_mps(table: pd.DataFrame) -> pd.Series:
    """Returns the speed that each car braked off after a hazard's onset beyond the perfect driver's braking, m/s.

    NaN without a hazard, if one of the two collided or failed, or if the perfect driver did not drive the episode.
    """
    ends_well = (table["error"] == "") & ~table["collision"] & table["hazard"]
    perfect = table[ends_well & (table["policy"] == BOUND)][[*PAIR, "hazard_braking_mps"]].drop_duplicates(PAIR)
    joined = table[PAIR].merge(perfect, on=PAIR, how="left")["hazard_braking_mps"]
    return (table["hazard_braking_mps"] - joined.set_axis(table.index)).where(ends_well)
