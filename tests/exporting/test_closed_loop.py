"""Exported and trained policies are compared in pairs, and what is worse is said."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from roadsense.envs.config import EnvConfig
from roadsense.episodes.plan import POLICY, Plan
from roadsense.errors import SimulationError
from roadsense.exporting import closed_loop
from roadsense.exporting.closed_loop import (
    AS_GOOD,
    NOT_SHOWN,
    WORSE,
    compare_driving,
    drive_all,
)

BASES = Path(__file__).parents[2] / "scenarios" / "base"


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
    assert "too few episodes" in found.in_words()


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


def test_failure_in_every_episode_is_an_error(exported, tmp_path):
    shutil.copytree(BASES / "highway_fast", tmp_path / "road")
    routes = tmp_path / "road" / "routes.rou.xml"
    routes.write_text(routes.read_text().replace("approach bend_left", "approach nowhere"))
    plans = [Plan(POLICY, tmp_path / "road" / "scenario.sumocfg", seed, True) for seed in (1, 2)]
    paths = {"trained": exported.run_dir / "model.zip", "int8": exported.folder / "policy_int8.tflite"}
    with pytest.raises(SimulationError, match="SUMO failed in each of 4 episodes, at first with: "):
        drive_all(plans, paths, EnvConfig(n_steps=20), 1, tmp_path)
