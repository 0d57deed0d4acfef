"""A sweep: variants and seeds as real local jobs, and one table with intervals of what they reached."""

import json
import re

import pytest

from roadsense.cli import main
from roadsense.errors import InputError
from roadsense.evaluation.results import find_evaluations, open_evaluation
from roadsense.evaluation.summary import complete
from roadsense.evaluation.sweep_table import NOT_JUDGED, SweepRow, make_table, mean_rate_interval
from roadsense.jobs import sweep
from roadsense.jobs.sweep import SweepConfig, read_sweep, run_sweep
from roadsense.runs.run import open_run
from roadsense.utils.statistics import binomial_interval
from tests.jobs.small_notebooks import ROOT, write_notebook

PARAMETERS = 'run_dir: str = ""\nresume: str = ""\nseed: int = 0\nn_collisions: int = 1\nfails: bool = False'
# Stands for a training: what matters here is what a job leaves in its run folder.
TRAIN = """
import json, pathlib
folder = pathlib.Path(run_dir)
folder.mkdir(parents=True)
(folder / "config.json").write_text("{}")
rest = {"timesteps": 64}
early = {"timesteps": 64, "eval_collisions": 50, "eval_episodes": 100, "eval_false_braking_share": 0.5}
last = {**early, "eval_collisions": n_collisions + seed, "eval_false_braking_share": 0.01}
(folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in (rest, early, last, rest)))
assert not fails
"""


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sweep, "LOOK_EVERY_S", 0.2)
    notebook = write_notebook(tmp_path, TRAIN, parameters=PARAMETERS)
    content = {
        "job": {"notebook": str(notebook), "name": "sweep"},
        "seeds": [0, 2],
        "variants": {"good": {}, "bad": {"parameters": {"n_collisions": 30}}},
    }
    path = tmp_path / "sweep.json"
    path.write_text(json.dumps(content))
    return path


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_jobs_are_every_variant_with_every_seed(file):
    members, judging = read_sweep(file)
    assert judging is None
    assert [member.folder_name for member in members] == ["good_seed_0", "good_seed_2", "bad_seed_0", "bad_seed_2"]
    assert members[0].spec.name == "sweep-good-0"
    assert members[3].spec.parameters == {"n_collisions": 30, "seed": 2}


def test_results_of_all_jobs_are_one_table_with_intervals(file, tmp_path):
    path = run_sweep(SweepConfig(file, tmp_path / "results", n_parallel=2))
    rows = {(row["variant"], row["seed"]): row for row in json.loads(path.with_suffix(".json").read_text())}
    assert rows["good", "2"]["n_collisions"] == 3
    pooled = rows["good", "all"]
    assert (pooled["n_collisions"], pooled["n_episodes"]) == (4, 200)
    # Both seeds drove the same hundred episodes: the interval is that of two collisions among them.
    interval = binomial_interval(2, 100)
    assert f"0.020 ({interval.low:.3f} to {interval.high:.3f})" in path.read_text()
    assert rows["bad", "all"]["n_collisions"] == 62
    # Again: nothing is submitted twice, and nothing changes.
    assert run_sweep(SweepConfig(file, tmp_path / "results")).read_text() == path.read_text()


def test_a_job_that_fails_has_a_row_that_says_so(file, tmp_path):
    change(file, seeds=[0], variants={"broken": {"parameters": {"fails": True}}})
    text = run_sweep(SweepConfig(file, tmp_path / "results")).read_text()
    assert "AssertionError" in text


def test_a_variant_that_was_never_judged_says_so(tmp_path):
    rows = make_table({"none_seed_0": tmp_path / "nothing"}, {"none_seed_0": "done"})
    assert rows[0] == SweepRow("none", "0", 0, 0, None, f"done, {NOT_JUDGED}")
    assert rows[1].as_line().startswith("| none | all | | 0 |")


def test_an_interval_takes_repeats_for_no_further_trials():
    assert mean_rate_interval(4, 200, 1) == binomial_interval(4, 200)
    assert mean_rate_interval(6, 300, 3).high == pytest.approx(binomial_interval(2, 100).high)
    between = mean_rate_interval(5, 300, 3)
    assert binomial_interval(1, 100).high < between.high < binomial_interval(2, 100).high
    assert between.value == 5 / 300
    assert mean_rate_interval(0, 200, 2).low == 0.0
    assert mean_rate_interval(0, 200, 2).high == pytest.approx(binomial_interval(0, 100).high)
    assert mean_rate_interval(200, 200, 2).high == 1.0


TRAINING = {
    "total_timesteps": 64, "imitation_timesteps": 0, "n_workers": 2, "rollout_steps": 32, "batch_size": 32,
    "episode_steps": 40, "eval_interval": 0,
}  # fmt: skip


@pytest.mark.slow
def test_real_trainings_are_judged_on_the_same_episodes_and_by_road(small_dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("notebooks", "scenarios"):
        (tmp_path / name).symlink_to(ROOT / name)
    eval_dir = str(small_dataset.folder / "eval")
    content = {
        "job": {"notebook": "01_train", "name": "real", "dataset": str(small_dataset.folder), "parameters": TRAINING},
        "seeds": [0, 1],
        "variants": {"augmented": {}, "without_slow": {"parameters": {"leave_out_base": "slow_road"}}},
        "judge": {
            "dataset_dir": eval_dir, "episodes_per_scenario": 1, "n_steps": 60, "checks_column": False,
            "split_episodes": 0, "curve_episodes": 0, "surroundings_episodes": 0, "gallery_size": 1,
        },
    }  # fmt: skip
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    path = run_sweep(SweepConfig(tmp_path / "sweep.json", tmp_path / "results", n_parallel=2))
    rows = {(row["variant"], row["seed"]): row for row in json.loads(path.with_suffix(".json").read_text())}
    evaluation = open_evaluation(find_evaluations(tmp_path / "results" / "augmented_seed_0" / "model")[0])
    driven = complete(evaluation.held_out).groupby("policy")["collision"].agg(["sum", "size"])
    for key, policy in {("augmented", "0"): "policy", ("without_slow", "1"): "without_slow_seed_1"}.items():
        assert (rows[key]["n_collisions"], rows[key]["n_episodes"]) == tuple(driven.loc[policy])
    pooled = rows["without_slow", "all"]
    assert (pooled["n_episodes"], pooled["n_seeds"]) == (4, 2)
    assert pooled["n_collisions"] == sum(rows["without_slow", seed]["n_collisions"] for seed in "01")
    assert rows["unassisted", ""]["n_episodes"] == 2
    trained = {name: open_run(tmp_path / "results" / f"{name}_seed_1" / "model") for name in content["variants"]}
    assert trained["augmented"].read_manifest()["n_scenarios"] == 4
    assert trained["without_slow"].read_manifest()["n_scenarios"] == 2
    text = path.read_text()
    assert "| variant | fast road | slow road |" in text
    assert text.count(" of 2: ") == 4  # two variants, each with two seeds of an episode a road


def test_dry_run_shows_every_request(file, capsys):
    assert main(["job", "sweep", str(file), "--dry_run"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"good_seed_0", "good_seed_2", "bad_seed_0", "bad_seed_2"}


def test_a_sweep_shows_every_price(tmp_path, monkeypatch, no_aws):
    monkeypatch.chdir(ROOT)
    job = {"notebook": "01_train", "target": "ec2", "output": "s3://cars/rs", "image": "r:1", "region": "us-east-1"}
    content = {"job": job, "seeds": [0], "variants": {"one": {}, "two": {"max_hours": 1.0}}}
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    members, _ = read_sweep(tmp_path / "sweep.json")
    price = sweep._describe(members)["price"]
    assert re.findall(r"for each of 1 jobs at most ([\d.]+) USD", price) == ["16.69", "1.60"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seeds": [1, 1]}, "differ"),
        ({"variants": {}}, "variants"),
        ({"variants": {"a": {"colour": "red"}}}, "colour"),
        ({"variants": {"a": {"target": "ec2"}}}, "target"),
        ({"variants": {"a" * 70: {}}}, "longer"),
        ({"variants": {"a": {"parameters": {"speed": 1}}}}, "speed"),
        ({"judge": {"episodes_per_scenario": 3}}, "dataset_dir"),
        ({"judge": {"dataset_dir": ".", "beside": []}}, "beside"),
        ({"judge": {"dataset_dir": "nowhere"}}, "nowhere"),
        ({"judge": {"dataset_dir": ".", "calm_share": 2}}, "calm_share"),
    ],
)
def test_what_is_no_sweep_is_refused(file, changes, said):
    change(file, **changes)
    with pytest.raises(InputError, match=said):
        read_sweep(file)
