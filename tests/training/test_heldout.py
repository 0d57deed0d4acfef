"""Evaluation on held-out scenarios beside the training, and the walls between the two."""

import shutil
import signal

import pytest
from stable_baselines3 import PPO

from roadsense.errors import DatasetError, InputError
from roadsense.runs.metric_lines import MEANINGS
from roadsense.runs.run import Run
from roadsense.train_convoy import TrainConfig, train_policy
from roadsense.training import heldout
from roadsense.training.heldout import judge, plan_heldout
from roadsense.training.splits import find_splits, hash_scenario, name_base
from roadsense.utils import worker_processes
from roadsense.utils.statistics import binomial_interval
from roadsense.utils.worker_processes import start_pool
from tests.small_training import BASE_DIR, stop_tiny, train_tiny

EVALUATED = {"eval_interval": 256, "eval_episodes": 4, "total_timesteps": 512, "checkpoint_interval": 192}


@pytest.fixture(scope="module")
def run(small_dataset, tmp_path_factory):
    return train_tiny(tmp_path_factory.mktemp("judged") / "run", dataset_dir=str(small_dataset.folder), **EVALUATED)


def test_every_figure_has_a_meaning(run):
    known = [name for name in MEANINGS if name.endswith("_")]
    assert [each for each in run.read_metrics() if each not in MEANINGS and not each.startswith(tuple(known))] == []


def evaluations(run):
    table = run.read_metrics()
    columns = [name for name in table.columns if name.startswith("eval_")]
    return table[columns].dropna().reset_index(drop=True)


def test_of_a_dataset_only_train_is_trained_on_and_eval_is_judged_on(run):
    manifest = run.read_manifest()
    assert (manifest["n_scenarios"], manifest["n_eval_scenarios"]) == (4, 2)
    found = evaluations(run)
    assert found["eval_timesteps"].tolist() == [256, 512]
    assert (found["eval_episodes"] + found["eval_failed"] == 4).all()
    assert (found["eval_collision_rate_low"] <= found["eval_collision_rate_high"]).all()


def test_the_best_policy_is_one_of_those_judged(run):
    found = evaluations(run)
    best = int(found.loc[found["eval_score"].idxmax(), "eval_timesteps"])
    assert run.best_model_path.read_bytes() == (run.heldout_dir / f"policy_{best:012d}.zip").read_bytes()
    PPO.load(run.best_model_path, device="cpu")


def test_results_do_not_depend_on_when_they_come_nor_on_a_break(run, small_dataset, tmp_path):
    again = stop_tiny(tmp_path / "again", 300, dataset_dir=str(small_dataset.folder), eval_workers=2, **EVALUATED)
    train_policy(TrainConfig(resume=str(again.folder)))
    assert evaluations(again).equals(evaluations(run))
    assert again.read_metrics()["timesteps"].is_monotonic_increasing


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_process_changes_no_figure_and_holds_nothing_up(number, run, small_dataset, tmp_path, monkeypatch):
    pools = []

    def start_and_hurt(*arguments):
        pools.append(start_pool(*arguments))
        if len(pools) == 1:
            pools[0].submit(signal.raise_signal, number)
        monkeypatch.setattr(heldout, "EPISODE_LIMIT_S", 5.0 if len(pools) == 1 else 300.0)
        return pools[-1]

    monkeypatch.setattr(heldout, "start_pool", start_and_hurt)
    monkeypatch.setattr(worker_processes, "END_PATIENCE_S", 1.0)
    again = train_tiny(tmp_path / "again", dataset_dir=str(small_dataset.folder), **EVALUATED)
    assert len(pools) >= 2
    assert evaluations(again).equals(evaluations(run))


def test_the_list_of_episodes_is_fixed_and_one_in_five_is_calm(small_dataset):
    paths = small_dataset.scenario_paths("eval")
    plans = plan_heldout(paths, TrainConfig(eval_episodes=10))
    assert plans == plan_heldout(paths, TrainConfig(eval_episodes=10, seed=7, run_dir="other"))
    assert [plan.hazard for plan in plans].count(False) == 2
    assert {plan.config_path for plan in plans} == set(paths)
    assert len({plan.seed for plan in plans}) == 10


def row(collision=False, needless_speed_loss_mps=0.0, error=""):
    return {
        "collision": collision,
        "calm_s": 10.0,
        "false_braking_s": 0.0,
        "needless_speed_loss_mps": needless_speed_loss_mps,
        "duration_s": 50.0,
        "min_ttc_s": 2.0,
        "error": error,
    }


def test_the_score_is_what_can_be_promised_less_what_it_costs():
    clean = judge([row()] * 100)
    assert clean["eval_score"] == pytest.approx(1 - binomial_interval(0, 100).high)
    assert judge([row()] * 20)["eval_score"] < clean["eval_score"]
    assert judge([row(collision=True)] + [row()] * 99)["eval_score"] < clean["eval_score"]
    assert judge([row(needless_speed_loss_mps=60.0)] * 100)["eval_score"] < 0
    broken = judge([row(error="SUMO stopped")] * 3)
    assert (broken["eval_failed"], broken["eval_score"]) == (3, 0.0)


def test_an_eval_scenario_cannot_be_trained_on(small_dataset, dataset_copy, tmp_path):
    train_dir, eval_dir = small_dataset.folder / "train", small_dataset.folder / "eval"
    with pytest.raises(DatasetError, match="holds it out"):
        find_splits(eval_dir)
    with pytest.raises(DatasetError, match="in eval_dir too"):
        find_splits(train_dir, train_dir)
    leaked = next(eval_dir.iterdir())
    shutil.copytree(leaked, dataset_copy / "train" / "innocent_name")
    with pytest.raises(DatasetError, match=r"innocent_name.*files are those of the held-out"):
        find_splits(dataset_copy)
    (tmp_path / "link").symlink_to(eval_dir, target_is_directory=True)
    with pytest.raises(DatasetError, match="holds it out"):
        find_splits(tmp_path / "link")
    with pytest.raises(DatasetError, match="cannot be trained on"):
        train_policy(TrainConfig(dataset_dir=str(dataset_copy), run_dir=str(tmp_path / "run")))
    assert not Run(tmp_path / "run").folder.exists()


def test_a_road_that_is_left_out_is_not_trained_on_but_judged(small_dataset):
    whole, without = (find_splits(small_dataset.folder, leave_out_base=base) for base in (None, "slow_road"))
    assert {name_base(path) for path in whole.train_paths} == {"fast_road", "slow_road"}
    assert {name_base(path) for path in without.train_paths} == {"fast_road"}
    assert without.eval_paths == whole.eval_paths
    assert without.train_digest != whole.train_digest
    with pytest.raises(InputError, match=r"slow_road.*got 'sea_road'"):
        find_splits(small_dataset.folder, leave_out_base="sea_road")
    with pytest.raises(InputError, match="leave_out_base of several"):
        find_splits(BASE_DIR / "highway_fast", leave_out_base="highway_fast")


def test_a_scenario_is_known_by_its_content(small_dataset, tmp_path):
    one, other = small_dataset.scenario_paths("train")[:2]
    copied = shutil.copytree(one.parent, tmp_path / "renamed") / one.name
    assert hash_scenario(copied) == hash_scenario(one) != hash_scenario(other)
