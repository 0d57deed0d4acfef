"""What is driven: pairs of episodes, other splits, and ever worse radios."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from roadsense.envs.radio.channel import V2vChannel
from roadsense.envs.radio.presets import ESP_NOW, PRESETS, V2vPreset
from roadsense.episodes.plan import CALM_EVERY, is_calm
from roadsense.episodes.run import Worker
from roadsense.evaluation.conditions import CONDITIONS, plan_conditions
from roadsense.evaluation.config import EvalConfig
from roadsense.evaluation.plans import (
    LATENCIES_S,
    LATENCY,
    LOSS,
    LOSSES,
    UNSEEN,
    degraded_radios,
    plan_curves,
    plan_held_out,
    plan_splits,
    plan_spread,
    with_checks,
)
from roadsense.scenarios.dataset import Dataset
from roadsense.scenarios.scenario import find_scenarios
from tests.envs.channel_arrays import exchange, heard_step

WHO = ("policy", "unassisted")


def test_each_policy_has_the_same_seeds_and_the_last_are_calm(small_dataset: Dataset) -> None:
    paths = small_dataset.scenario_paths("eval")
    planned = plan_held_out(paths, 5, 0.4, 0, WHO)
    assert len(planned) == len(paths) * 5 * 2
    by_policy = {name: [one.plan for one in planned if one.plan.policy == name] for name in WHO}
    keys = [[(plan.config_path, plan.seed, plan.hazard) for plan in plans] for plans in by_policy.values()]
    assert keys[0] == keys[1]
    assert len({seed for _, seed, _ in keys[0]}) == len(keys[0])
    assert [plan.hazard for plan in by_policy["policy"]] == [True] * 3 + [False] * 2 + [True] * 3 + [False] * 2
    checked = with_checks(planned)
    assert all(one.plan.sumo_checks and one.part == "checks_on" for one in checked)
    assert [one.plan.seed for one in checked] == [one.plan.seed for one in planned]


@pytest.mark.parametrize("n_bases", [3, 5, 10])
def test_bases_that_take_turns_all_get_both_kinds_of_episodes(n_bases: int) -> None:
    bases = [Path(f"base_{number}") for number in range(n_bases)]
    planned = [one.plan for one in plan_spread(UNSEEN, bases, 100, 0.2, 0, ("policy",))]
    kinds = {(plan.config_path, not plan.hazard) for plan in planned}
    assert len(kinds) == len({(place % n_bases, is_calm(place)) for place in range(100)}) == 2 * n_bases
    assert sum(not plan.hazard for plan in planned) == sum(map(is_calm, range(100))) == 100 // CALM_EVERY


def test_other_splits_are_found_beside_the_judged_one(small_dataset: Dataset, tmp_path: Path) -> None:
    folder = small_dataset.folder
    planned = plan_splits(folder / "eval", 10, 0.2, 0, WHO)
    assert {one.part for one in planned} == {"train"}
    assert len(planned) == 20
    assert {one.plan.config_path.resolve() for one in planned} == set(find_scenarios(folder.resolve() / "train"))
    assert sum(not one.plan.hazard for one in planned) == 4
    assert plan_splits(folder / "eval", 0, 0.2, 0, WHO) == []
    assert plan_splits(folder / "train", 10, 0.2, 0, WHO) == []  # it is the judged one
    lone = shutil.copytree(folder / "eval", tmp_path / "eval")
    assert plan_splits(lone, 10, 0.2, 0, WHO) == []


def test_curves_take_hazards_from_all_scenarios(small_dataset: Dataset) -> None:
    held_out = plan_held_out(small_dataset.scenario_paths("eval"), 10, 0.2, 0, WHO)
    curves = plan_curves(held_out, 4, ESP_NOW, ("policy", "heard_braking_rule"))
    assert len(curves) == (len(LOSSES) + len(LATENCIES_S)) * 4 * 2
    assert all(one.plan.hazard for one in curves)
    assert len({one.plan.config_path for one in curves}) == 2
    assert {one.plan.seed for one in curves} <= {one.plan.seed for one in held_out}
    assert plan_curves(held_out, 0, ESP_NOW, WHO) == []


def test_conditions_take_the_same_episodes_and_change_one_thing(small_dataset: Dataset) -> None:
    held_out = plan_held_out(small_dataset.scenario_paths("eval"), 10, 0.2, 0, WHO)
    planned = plan_conditions(held_out, 5, "scenario", WHO)
    assert len(planned) == len(CONDITIONS) * 5 * 2
    episodes = {(one.plan.config_path, one.plan.seed, one.plan.hazard) for one in planned}
    assert len(episodes) == 5
    assert {hazard for *_, hazard in episodes} == {True, False}
    assert episodes <= {(one.plan.config_path, one.plan.seed, one.plan.hazard) for one in held_out}
    by_name = {one.condition: one.plan for one in planned}
    assert dict(by_name["decoys"].settings) == {"surroundings": "decoys"}
    assert by_name["noisy_own"].own_noise_mps2 == 2.0
    noisy = by_name["noisy_messages"].radio
    assert noisy == replace(ESP_NOW, acceleration_std_mps2=1.5)
    assert {name.removeprefix("radio_") for name in by_name if name.startswith("radio_")} == set(PRESETS) - {"muted"}
    home = EvalConfig("run")
    assert all(Worker(home.env_config()).env_config(one.plan) for one in planned)  # settings that there are
    assert plan_conditions(held_out, 0, "scenario", WHO) == []


@pytest.mark.parametrize(("part", "value", "radio"), list(degraded_radios(ESP_NOW)))
def test_a_radio_is_as_bad_as_it_is_said_to_be(part: str, value: float, radio: V2vPreset) -> None:
    channel = V2vChannel(radio, 20, 1000, 0.1, np.random.default_rng(0))
    states = np.zeros((20, 5))
    states[:, 0] = 30.0
    for step in range(1000):
        exchange(channel, step, states)
    n_heard, n_lost = channel.count_messages(1000)
    if part == LOSS:
        assert n_lost / (n_heard + n_lost) == pytest.approx(value, abs=0.02)
    else:
        assert part == LATENCY
        assert n_lost / (n_heard + n_lost) == pytest.approx(ESP_NOW.loss[1], abs=0.02)
        delivered = [at for at in channel.delivery_steps(500) if at != -1]
        assert set(delivered) == {500 + math.ceil(value / 0.1 - 1e-9)}
        assert heard_step(channel).max() == 999 - math.ceil(value / 0.1 - 1e-9)
