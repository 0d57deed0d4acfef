"""The table of episodes: its schema, its file, and what is worked out row by row."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from roadsense.envs.outcome import Outcome
from roadsense.errors import RunError
from roadsense.evaluation.generalisation import band, by_factor, by_split, count_by, degradation, generalisation_gap
from roadsense.evaluation.schema import (
    COLUMNS,
    OUTCOME_COLUMNS,
    SCHEMA_VERSION,
    read_episodes,
    read_factors,
    time_lost_s,
    to_table,
    write_episodes,
)
from roadsense.scenarios.dataset import Dataset
from tests.evaluation.made_up import crashes, made_up

ROOT = Path(__file__).parents[2]


def test_every_figure_of_an_outcome_is_in_the_schema() -> None:
    known = {column.name for column in COLUMNS}
    assert set(Outcome("somewhere").as_row()) <= known
    of_two = {"time_lost_s", "excess_braking_mps"}
    assert {column.name for column in OUTCOME_COLUMNS} <= set(Outcome("somewhere").as_row()) | of_two
    assert all(column.meaning for column in COLUMNS)
    assert len(known) == len(COLUMNS)


def test_a_table_is_read_back_as_it_was_with_its_meanings(tmp_path: Path) -> None:
    table = crashes("policy", 7, 2, reaction_time_s=[np.nan, 1.0], min_ttc_s=[np.inf, 2.0])
    write_episodes(table, tmp_path / "episodes.parquet")
    pd.testing.assert_frame_equal(read_episodes(tmp_path / "episodes.parquet"), table)
    schema = pq.read_schema(tmp_path / "episodes.parquet")
    assert schema.metadata[b"schema_version"] == str(SCHEMA_VERSION).encode()
    assert schema.field("impact_speed_mps").metadata[b"unit"] == b"m/s"
    assert [path.name for path in tmp_path.iterdir()] == ["episodes.parquet"]


def test_what_is_no_table_of_episodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="found none"):
        read_episodes(tmp_path / "episodes.parquet")
    (tmp_path / "text.parquet").write_text("nothing of the kind")
    with pytest.raises(RunError, match="expected a table"):
        read_episodes(tmp_path / "text.parquet")
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(RunError, match="expected episodes of schema"):
        read_episodes(tmp_path / "other.parquet")


def test_a_failed_episode_has_a_row_too() -> None:
    table = to_table(pd.DataFrame([{"policy": "policy", "error": "SUMO stopped", "seed": 3}]))
    row = table.iloc[0]
    assert (row["error"], row["seed"], row["collision"], row["hazard_kind"]) == ("SUMO stopped", 3, False, "")
    assert np.isnan(row["min_ttc_s"])
    assert list(table.columns) == [column.name for column in COLUMNS]


def test_time_lost_is_against_the_driver_alone_over_the_same_way() -> None:
    alone = made_up("unassisted", 3, distance_m=[1000.0, 1000.0, 800.0], duration_s=[50.0, 50.0, 40.0])
    # 900 m take the driver alone 45 s. Then the route's end after 42 s instead of 40. Then a collision.
    policy = made_up("policy", 3, distance_m=[900.0, 1000.0, 800.0], duration_s=[50.0, 50.0, 42.0])
    table = pd.concat([alone, policy], ignore_index=True)
    np.testing.assert_allclose(time_lost_s(table), [0, 0, 0, 5.0, 0, 2.0], atol=1e-9)
    table.loc[0, "collision"] = True
    np.testing.assert_allclose(time_lost_s(table), [np.nan, 0, 0, np.nan, 0, 2.0], atol=1e-9)
    assert time_lost_s(policy).isna().all()  # nobody drove it alone


def test_the_factors_are_those_of_the_datasets_manifest(small_dataset: Dataset) -> None:
    paths = {path.resolve() for path in small_dataset.scenario_paths("eval")}
    factors = read_factors(paths)
    assert set(factors) == {str(path) for path in paths}
    record = next(record for record in small_dataset.scenarios if record.split == "eval")
    found = factors[str((small_dataset.folder / record.config).resolve())]
    assert found["factor_density"] == record.variation["levels"]["density"]
    assert found["factor_convoy_size"] == record.variation["levels"]["convoy_size"]
    assert found["factor_radio"] == record.variation["v2v"]
    assert read_factors({ROOT / "scenarios" / "base" / "highway_fast" / "scenario.sumocfg"}) == {}


def test_counts_by_group_have_exact_intervals() -> None:
    table = pd.concat([crashes("policy", 10, 1, base="a"), made_up("policy", 10, base="b")])
    rows = count_by(table, ["policy", "base"]).set_index("base")
    assert rows.loc["a", ["episodes", "collisions", "collision_rate"]].tolist() == [10, 1, 0.1]
    assert rows.loc["a", "collision_rate_high"] == pytest.approx(0.445016, abs=1e-6)
    assert rows.loc["b", "collision_rate_high"] == pytest.approx(0.308497, abs=1e-6)


def test_numbers_are_put_into_bands_and_few_values_are_kept() -> None:
    bands = band(pd.Series([0.7, 0.8, 0.9, 1.0, 1.1, 1.3, np.nan, 0.7]))
    assert bands.tolist()[:2] == ["0.7 to 0.867", "0.7 to 0.867"]
    assert bands.nunique() == 4
    assert bands[6] == ""
    assert band(pd.Series([3.0, 4.0, 3.0])).tolist() == ["3", "4", "3"]
    assert band(pd.Series(["a", "b"])).tolist() == ["a", "b"]


def test_only_what_varies_is_a_factor() -> None:
    table = crashes("policy", 60, 6, base=["a", "b"], factor_density=np.linspace(0.7, 1.3, 60), factor_friction=1.0)
    rows = by_factor(table, ["policy"])
    assert rows["factor"].unique().tolist() == ["base", "factor_density"]
    assert rows.groupby("factor")["episodes"].sum().eq(60).all()
    assert rows.groupby("factor")["collisions"].sum().eq(6).all()
    assert by_factor(made_up("policy", 5), ["policy"]).empty


def test_collisions_are_counted_by_how_hard_the_leader_brakes() -> None:
    harder = {"hazard_deceleration_mps2": [3.2, 7.7], "hazard_car": 0, "collision": [False, True]}
    table = pd.concat([
        made_up("unassisted", 20, **harder),
        made_up("unassisted", 6, hazard_deceleration_mps2=7.5, hazard_car=1),  # a car farther ahead
        made_up("unassisted", 6, hazard_deceleration_mps2=7.5, hazard_car=0, hazard=False),  # it did not come to it
        made_up("unassisted", 6, hazard_deceleration_mps2=7.5, hazard_car=0, hazard_kind="stopped"),
    ])  # fmt: skip
    rows = by_factor(table, ["unassisted"]).query("factor == 'leader_braking_mps2'")
    assert rows[["value", "episodes", "collisions"]].to_numpy().tolist() == [["3 to 4", 10, 0], ["7 to 8", 10, 10]]


def test_splits_and_their_gap() -> None:
    table = pd.concat(
        [crashes("policy", 100, 10), crashes("policy", 100, 2, part="train"), made_up("always_brake", 100)]
    )
    splits = by_split(table)
    assert sorted(splits["part"]) == ["held_out", "train"]
    assert set(splits["policy"]) == {"policy"}
    gap = generalisation_gap(splits, "policy")
    assert gap is not None
    assert gap.value == pytest.approx(0.08)
    assert 0 < gap.low < gap.high
    assert generalisation_gap(by_split(made_up("policy", 5)), "policy") is None


def test_curves_count_at_each_point() -> None:
    table = pd.concat([crashes("policy", 20, n, part="loss", curve_value=loss) for n, loss in ((0, 0.0), (5, 0.8))])
    rows = degradation(table)
    assert rows[["curve_value", "collisions", "episodes"]].to_numpy().tolist() == [[0.0, 0, 20], [0.8, 5, 20]]
    assert degradation(made_up("policy", 5)).empty
