"""The table of episodes: the meaning of each column, how it is made, and how it is stored as Parquet.

The file describes itself: unit and meaning of a column are in its field's metadata, the version in the schema's.
"""

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from roadsense.envs.reward import TERMS
from roadsense.episodes.plan import BOUND, Row
from roadsense.errors import RunError
from roadsense.evaluation.plans import PlannedEpisode
from roadsense.scenarios.dataset import MANIFEST_NAME, Dataset
from roadsense.utils.files import reading, write_atomically
from roadsense.utils.tables import markdown_table

SCHEMA_VERSION = 5
MAX_EPISODES = 1_000_000
"""Largest number of episodes in a table that is read; a row takes about 1 kB of memory."""
_TYPES = {"text": pa.string(), "flag": pa.bool_(), "whole": pa.int64(), "number": pa.float64()}


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        name: name of the column.
        kind: `text`, `flag`, `whole` or `number` (which may be missing, NaN, or infinite where it says so).
        unit: unit of its values; "" without one.
        meaning: its meaning in one sentence.
    """

    name: str
    kind: str
    unit: str
    meaning: str


def _columns(kind: str, *lines: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, kind, unit, meaning) for name, unit, meaning in lines)


PLAN_COLUMNS = (
    *_columns(
        "text",
        (
            "part",
            "",
            "what the episode is for: held_out, unseen, checks_on, condition, train, eval_wide, loss or latency",
        ),
        ("condition", "", "row of the table of conditions that it belongs to; empty in other parts"),
        ("policy", "", "who drives: policy, policy_muted, a baseline, perfect_driver, or a run named with --beside"),
        ("scenario", "", "name of the scenario's folder"),
        ("base", "", "base scenario it was drawn from"),
        ("config_path", "", "path of its .sumocfg"),
        ("error", "", "how SUMO failed; empty if it did not. Failed episodes are counted and left out of all figures"),
    ),
    *_columns(
        "whole",
        ("seed", "", "of the environment's reset; the same for all policies, so episodes pair by it"),
        ("sumo_seed", "", "of SUMO"),
    ),
    *_columns(
        "flag",
        ("hazard_forced", "", "whether a hazard was planned"),
        ("sumo_checks", "", "whether SUMO's safe-speed check protected the ego"),
    ),
    *_columns("number", ("curve_value", "", "loss (share) or latency (s) the radio was set to, in those parts")),
)
FACTOR_COLUMNS = (
    *_columns(
        "number",
        ("factor_density", "", "traffic, times the base's"),
        ("factor_sigma", "", "drivers' imperfection, 0 to 1"),
        ("factor_speed_mean", "", "drivers' speed, times the limit"),
        ("factor_friction", "", "of the road, 1 is dry"),
        ("factor_convoy_size", "", "cars of the convoy"),
    ),
    *_columns("text", ("factor_radio", "", "radio the scenario asks for")),
)
DRAW_COLUMNS = _columns(
    "number",
    ("hazard_car", "", "car that brakes, 0 is the ego's leader"),
    ("hazard_planned_s", "s", "earliest onset that was drawn"),
    ("hazard_deceleration_mps2", "m/s2", "how hard it brakes"),
    ("driver_reaction_time_s", "s", "of the ego's driver"),
    ("driver_time_headway_s", "s", "that the ego's driver keeps"),
    ("radio_loss_20_to_50_m", "", "share of messages lost at that distance"),
    ("radio_latency_s", "s", "mean latency"),
    ("radio_position_std_m", "m", "noise of positions"),
)
OUTCOME_COLUMNS = (
    *_columns(
        "flag",
        ("collision", "", "whether the ego collided"),
        ("was_struck", "", "whether the other vehicle ran into the ego, by SUMO's record of the collision"),
        ("hazard", "", "whether a hazard happened"),
        ("decoy_answered", "", "whether the assist braked in calm time within 5 s after a decoy"),
        ("overtook_leader", "", "whether the ego came ahead of the next car of its convoy"),
    ),
    *_columns("text", ("collision_partner", "", "SUMO's id of the other vehicle; empty without a collision")),
    *_columns("text", ("hazard_kind", "", "brake, stopped, cut_in, recorded:NAME or none")),
    *_columns("text", ("decoy_kind", "", "behind, beside, parallel, oncoming or none")),
    *_columns(
        "number",
        ("duration_s", "s", "length of the episode"),
        ("impact_speed_mps", "m/s", "difference of the two speeds at a collision, else 0"),
        ("hazard_onset_s", "s", "when it began; NaN without one"),
        ("decoy_onset_s", "s", "when a decoy began to brake; NaN without one"),
        ("reaction_time_s", "s", "from the onset until the ego brakes with 1 m/s2; NaN if not within 5 s"),
        ("assist_reaction_time_s", "s", "the same until the assist asks for 1 m/s2; NaN is a missed hazard"),
        ("min_gap_m", "m", "smallest gap to the leader; infinite without one"),
        ("min_ttc_s", "s", "smallest time to collision; infinite if the ego never approached a leader"),
        ("min_time_headway_s", "s", "smallest time headway; infinite without a leader"),
        ("max_drac_mps2", "m/s2", "largest deceleration rate to avoid the crash"),
        ("max_deceleration_mps2", "m/s2", "hardest braking, from 0"),
        ("max_jerk_mps3", "m/s3", "largest change of acceleration while the car moves"),
        ("rms_jerk_mps3", "m/s3", "its root mean square"),
        ("calm_s", "s", "time in which no hazard is active and comfortable braking suffices"),
        ("false_braking_s", "s", "of it, time in which the assist brakes"),
        ("calm_speed_loss_mps", "m/s", "speed that the assist took off in calm time, beyond what the driver asked for"),
        ("needless_speed_loss_mps", "m/s", "the same over the whole episode, beyond what was needed"),
        ("hazard_braking_mps", "m/s", "speed braked off in the 15 s after a hazard's onset; NaN without one"),
        ("excess_braking_mps", "m/s", "of it, what the perfect driver did not brake off; NaN if one of them collided"),
        ("distance_m", "m", "distance driven"),
        ("time_lost_s", "s", "against the driver alone over the same distance; NaN if one of the two collided"),
        ("follower_min_ttc_s", "s", "smallest time to collision of the car behind with the ego; may be infinite"),
        ("reward", "", "sum of the weighted terms"),
        *((f"term_{name}", "", f"sum of the reward's term {name}, unweighted") for name in TERMS),
    ),
    *_columns(
        "whole",
        ("false_brakings", "", "how often the assist began to brake in calm time"),
        ("ordinary_stops", "", "standstills with no hazard active"),
        ("ordinary_stops_braked", "", "of them, those with false braking in the 10 s before"),
        ("messages_heard", "", "radio messages delivered"),
        ("messages_lost", "", "radio messages lost"),
        ("messages_dropped", "", "messages dropped by sender and sequence: the ego's own, and those known already"),
        ("sumo_interventions", "", "steps in which SUMO's checks would have lowered the commanded speed"),
    ),
)
COLUMNS = (*PLAN_COLUMNS, *FACTOR_COLUMNS, *DRAW_COLUMNS, *OUTCOME_COLUMNS)
"""All columns, in the order of the table."""

_DTYPES: dict[str, Any] = {"text": str, "flag": bool, "whole": "int64", "number": float}
_MISSING = {"text": "", "flag": False, "whole": 0, "number": math.nan}


def to_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows with exactly the columns of the schema, in its order and types; missing columns are empty."""
    columns = {}
    for column in COLUMNS:
        values = rows[column.name] if column.name in rows else pd.Series([_MISSING[column.kind]] * len(rows))
        values = values.reset_index(drop=True)
        if column.kind != "number":
            values = values.where(values.notna(), _MISSING[column.kind])
        columns[column.name] = values.astype(_DTYPES[column.kind])
    return pd.DataFrame(columns)


def write_episodes(table: pd.DataFrame, path: Path) -> None:
    """Writes a table of `to_table` as Parquet, with the schema's meanings in it."""
    fields = [
        pa.field(column.name, _TYPES[column.kind], metadata={"unit": column.unit, "meaning": column.meaning})
        for column in COLUMNS
    ]
    schema = pa.schema(fields, metadata={"schema_version": str(SCHEMA_VERSION)})
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, schema=schema, preserve_index=False), buffer)
    write_atomically(path, buffer.getvalue())


def read_episodes(path: Path) -> pd.DataFrame:
    """Reads a file of `write_episodes`.

    Raises:
        RunError: if it does not exist, is no Parquet file, or has another version of the schema.
    """
    if not path.is_file():
        raise RunError(f"Expected an evaluation with {path.name} in {path.parent}, found none. Make one first.")
    with reading(path, "a table of episodes", RunError), pq.ParquetFile(path) as file:
        _check_schema(path, file)
        table = file.read()
        if empty := [column.name for column in COLUMNS if table[column.name].null_count and column.kind != "number"]:
            raise ValueError(f"{', '.join(empty)}: values are missing")
        return table.to_pandas()


def _check_schema(path: Path, file: pq.ParquetFile) -> None:
    version = (file.schema_arrow.metadata or {}).get(b"schema_version", b"").decode(errors="replace")
    if version != str(SCHEMA_VERSION) or file.schema_arrow.names != [column.name for column in COLUMNS]:
        raise RunError(
            f"{path}: expected episodes of schema {SCHEMA_VERSION}, got {version or 'none'}. Evaluate again."
        )
    if wrong := [one.name for one in COLUMNS if file.schema_arrow.field(one.name).type != _TYPES[one.kind]]:
        raise ValueError(f"{', '.join(wrong)}: values are of another type")
    if not 0 < file.metadata.num_rows <= MAX_EPISODES:
        raise ValueError(f"expected 1 to {MAX_EPISODES} episodes, got {file.metadata.num_rows}")


def describe_schema() -> str:
    """Returns the schema as a Markdown table."""
    lines = [(f"`{one.name}`", one.kind, one.unit, one.meaning) for one in COLUMNS]
    return f"{markdown_table(('column', 'kind', 'unit', 'meaning'), lines)}\n"


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
